"""Checkpoints that people have: each is read whole, or refused in a sentence that says what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import random_network
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from demograd.errors import UserError
from demograd.models import load_model

Change = Callable[[Path], None]
ROWS = 270


@pytest.fixture(scope="session")
def backend() -> Tokenizer:
    """Byte-level BPE that keeps every digit apart, unlike what transformers builds for `GPT2Tokenizer`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS,
        special_tokens=["<s>", "</s>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(["a film in  1999 was good\n"] * 50, trainer)
    return tokenizer


@pytest.fixture
def folder(backend: Tokenizer, tmp_path: Path) -> Path:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(tmp_path / "model")
    random_network("llama", vocab_size=ROWS, num_hidden_layers=1, eos_token_id=1).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def configured(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def with_file(name: str, content: str = "{}") -> Change:
    return lambda folder: (folder / name).write_text(content) and None


def twice(folder: Path) -> None:
    """Weights, and the index of a newer checkpoint beside them."""
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model-00001-of-00001.safetensors", {"format": "pt"})
    names = dict.fromkeys(tensors, "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def not_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][:2] = torch.tensor([torch.nan, torch.inf])
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def adapter_alone(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_text("{}")


def too_few_rows(folder: Path) -> None:
    random_network("llama", vocab_size=ROWS - 9, num_hidden_layers=1, eos_token_id=1).save_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (configured(is_encoder_decoder=True), r"encoder–decoder \(llama\)"),
        (configured(architectures=["LlamaForSequenceClassification"]), "no causal language model"),
        (configured(quantization_config={"quant_method": "gptq", "bits": 4}), r"quantised \(gptq\)"),
        (configured(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}), "bitsandbytes, 4 bit"),
        (configured(quantization_config={"quant_method": "of my own"}), r"quantised \(of my own\)"),
        (with_file("adapter_config.json"), "holds an adapter.*beside a model.*merge_and_unload"),
        (adapter_alone, "holds an adapter.*alone.*merge_and_unload"),
        (twice, "holds weights twice: model.safetensors, and the files that model.safetensors.index.json names"),
        (not_numbers, "2 of the 64 values of model.norm.weight are NaN or infinite"),
        (without_tokenizer, "no tokenizer files in the folder"),
        (too_few_rows, r"makes the token .* \(number 261, and 8 others\).*261 rows"),
    ],
)
def test_a_checkpoint_that_would_give_wrong_numbers_is_refused(change: Change, message: str, folder: Path) -> None:
    load_model(str(folder), device="cpu")
    change(folder)
    with pytest.raises(UserError, match=message):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (with_file("pytorch_model.bin"), "weights in the folder that are not read: pytorch_model.bin"),
        (configured(quantization_config={"quant_method": "fp8"}), r"records quantisation \(fp8\)"),
        (configured(tie_word_embeddings=True), "the file holds two: both are kept"),
    ],
)
def test_a_checkpoint_that_is_read_otherwise_than_it_says_has_a_note(change: Change, note: str, folder: Path) -> None:
    before = load_model(str(folder), device="cpu").fingerprint
    change(folder)
    model = load_model(str(folder), device="cpu")
    assert model.fingerprint == before
    assert any(note.replace("\\", "") in sentence for sentence in model.notes), model.notes


def test_a_tokenizer_that_is_declared_as_another_class_reads_as_its_file_says(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}))
    model, text = load_model(str(folder), device="cpu"), "in  1999"
    own = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    assert model.tokenizer(text, add_special_tokens=False)["input_ids"] == own
    assert any("tokenizer.json" in note for note in model.notes)
    assert (model.tokenizer.bos_token_id, model.tokenizer.eos_token_id) == (0, 1)


def test_a_control_token_without_a_row_is_noted(folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(folder)
    assert any("such as <pad>" in note for note in load_model(str(folder), device="cpu").notes)


def write_gguf(
    file: Path, backend: Tokenizer, *, without: str = "-", extra: str = "", scaling: gguf.RopeScalingType | None = None
) -> None:
    """A Llama of one layer, perhaps without a tensor, with one too many, or with scaled positions."""
    model = json.loads(backend.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    if scaling:
        writer.add_rope_scaling_type(scaling)
        writer.add_rope_scaling_factor(4.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    shapes = {
        "token_embd.weight": (len(tokens), 32),
        "output_norm.weight": (32,),
        "blk.0.attn_norm.weight": (32,),
        "blk.0.ffn_norm.weight": (32,),
        "blk.0.attn_q.weight": (32, 32),
        "blk.0.attn_k.weight": (16, 32),
        "blk.0.attn_v.weight": (16, 32),
        "blk.0.attn_output.weight": (32, 32),
        "blk.0.ffn_gate.weight": (48, 32),
        "blk.0.ffn_up.weight": (48, 32),
        "blk.0.ffn_down.weight": (32, 48),
    }
    if extra:
        shapes[extra] = (32,)
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        if without not in name:
            writer.add_tensor(name, random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, ""),
        ({"without": "ffn_up"}, r"no weights for model\.layers\.0\.mlp\.up_proj\.weight"),
        ({"without": "output_norm"}, r"no weights for model\.norm\.weight"),
        ({"extra": "blk.0.attn_q.bias"}, r"passes over .* tensor blk\.0\.attn_q\.bias"),
        ({"scaling": gguf.RopeScalingType.NONE}, ""),
        ({"scaling": gguf.RopeScalingType.LINEAR}, r"passes over .* llama\.rope\.scaling\."),
    ],
)
def test_a_gguf_file_is_read_whole_or_refused(
    how: dict[str, Any], message: str, backend: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demograd.models.gguf.user_cache_path", lambda name: tmp_path / "cache")
    write_gguf(tmp_path / "tiny.gguf", backend, **how)
    if not message:
        model = load_model(str(tmp_path / "tiny.gguf"), device="cpu")
        text = "a film was good"
        assert model.tokenizer.decode(model.tokenizer(text, add_special_tokens=False)["input_ids"]) == text
        return
    with pytest.raises(UserError, match=message):
        load_model(str(tmp_path / "tiny.gguf"), device="cpu")
    assert not list(tmp_path.glob("cache/models/*"))
