"""What prompts begin with: asked for, known of a built-in model, the tokenizer's own, or the configuration's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from demograd import load_model, load_task
from demograd.errors import UserError
from demograd.models import BUILT_IN, Model
from demograd.models.load import load_tokenizer

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
Saved = Callable[..., str]


def byte_tokenizer(**roles: str) -> PreTrainedTokenizerFast:
    """A token per byte, and the special ones."""
    characters = sorted(ByteLevel.alphabet())
    backend = Tokenizer(BPE({character: number for number, character in enumerate(characters)}, []))
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    backend.add_special_tokens(list(SPECIALS))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **roles)


@pytest.fixture
def saved(random_model: Callable[..., Model], tmp_path: Path) -> Saved:
    """A small network, whose configuration says this BOS, beside a tokenizer of bytes with special tokens in these
    roles."""

    def save(bos_id: int | None, **roles: str) -> str:
        tokenizer = byte_tokenizer(**roles)
        network = random_model("llama", vocab_size=len(tokenizer), bos_token_id=bos_id).network
        network.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        return str(tmp_path)

    return save


def begins(model: Model, folder: Path) -> set[str]:
    """The first tokens of a prompt and of training sequences."""
    file = folder / "reviews.csv"
    file.write_text("text,label\n" + "".join(f"a film {number},{number % 2}\n" for number in range(40)))
    task = load_task(file, template="Review: {text} Sentiment:", label_words=["bad", "fair"])
    demonstrations = task.demonstrations(2)
    prompts = task.prompts(model.tokenizer, task.queries(2), demonstrations)
    sequences = task.training_sequences(model.tokenizer, demonstrations)
    first = [prompts.context[0], *(sequence.tokens[0] for sequence in sequences)]
    return set(model.tokenizer.convert_ids_to_tokens(first))


def special_id(token: str) -> int:
    return int(byte_tokenizer(eos_token="<|im_end|>").convert_tokens_to_ids(token))


def test_the_configurations_bos_begins_prompts_where_the_tokenizer_has_none(saved: Saved, tmp_path: Path) -> None:
    folder = saved(special_id("<|endoftext|>"), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    model = load_model(folder, device="cpu")
    assert begins(model, tmp_path) == {"<|endoftext|>"}
    (note,) = model.notes
    assert note == "prompts begin with <|endoftext|>, the configuration's BOS: the tokenizer has none"
    assert load_tokenizer(folder)[0].bos_token == "<|endoftext|>"


@pytest.mark.parametrize("number", [None, 100_000, 1], ids=["none", "no token", "a letter"])
def test_without_any_bos_prompts_begin_with_the_end_of_text(number: int | None, saved: Saved, tmp_path: Path) -> None:
    model = load_model(saved(number, eos_token="<|im_end|>"), device="cpu")
    assert begins(model, tmp_path) == {"<|im_end|>"}
    assert model.notes == ()


def test_a_bos_that_opens_a_turn_of_a_chat_is_noted(saved: Saved, tmp_path: Path) -> None:
    model = load_model(saved(special_id("<|im_start|>"), bos_token="<|im_start|>", eos_token="<|im_end|>"))
    assert begins(model, tmp_path) == {"<|im_start|>"}
    assert any("opens a turn of a chat" in note for note in model.notes)


@pytest.mark.parametrize(("bos", "token"), [("<|endoftext|>", "<|endoftext|>"), ("\n", "Ċ"), ("a", "a")])
def test_a_bos_that_is_asked_for_begins_everything(bos: str, token: str, saved: Saved, tmp_path: Path) -> None:
    """An ordinary token, too, which texts may then have as well."""
    folder = saved(special_id("<|im_start|>"), bos_token="<|im_start|>", eos_token="<|im_end|>")
    model = load_model(folder, device="cpu", bos=bos)
    assert begins(model, tmp_path) == {token}
    assert model.notes == (f"prompts begin with {token}, as asked for; the tokenizer's BOS is <|im_start|>",)
    assert load_tokenizer(folder, bos)[0].bos_token == token


@pytest.mark.parametrize("bos", ["", "ab", "<|begin|>", "x" * 500])
def test_a_bos_that_is_no_token_is_refused(bos: str, saved: Saved) -> None:
    folder = saved(None, eos_token="<|im_end|>")
    with pytest.raises(UserError, match=r"one token of its vocabulary.*<\|im_end\|>") as refused:
        load_model(folder, bos=bos)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_built_in_model_begins_as_its_pretraining_did(name: str) -> None:
    """The tokenizer's own BOS of the default model opens a turn of a chat."""
    try:
        tokenizer, _ = load_tokenizer(name)
    except UserError as missing:
        pytest.skip(str(missing))
    assert tokenizer.bos_token == BUILT_IN[name].bos
    assert tokenizer.bos_token_id is not None
