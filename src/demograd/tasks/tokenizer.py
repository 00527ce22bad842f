"""Tokenizers: the tokens that stand around the text, and what a reader must know about them."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from demograd.errors import UserError, unknown_name

SEPARATORS = ("newline", "eos")
"""What ends each demonstration in a prompt; released runs used "eos"."""


@runtime_checkable
class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here (importing transformers takes seconds)."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def decode(self, *args: Any, **kwargs: Any) -> Any: ...


def bos_id(tokenizer: Tokenizer) -> int:
    """The token before everything: BOS, or the end-of-text token of a tokenizer without one."""
    return _bos(tokenizer)[0]


def token_texts(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[str]:
    """The text of each token by itself, with the space that it may begin with; `�` for part of a character."""
    before = bos_id(tokenizer)  # a text's first token may lose its space
    start = tokenizer.decode([before], clean_up_tokenization_spaces=False)

    def text(token: int) -> str:
        both = tokenizer.decode([before, token], clean_up_tokenization_spaces=False)
        return both[len(start) :] if both.startswith(start) else tokenizer.decode([token])

    texts = {token: text(token) for token in set(tokens)}
    return [texts[token] for token in tokens]


def separator_ids(tokenizer: Tokenizer, separator: str) -> list[int]:
    """The tokens that end each demonstration: "newline" (EOS where the tokenizer has none) or "eos".

    Raises UserError for another name, and for a tokenizer without EOS where it is needed.
    """
    if separator not in SEPARATORS:
        raise unknown_name("separator", separator, SEPARATORS, "Choose one of these")
    newline = _newline_ids(tokenizer) if separator == "newline" else []
    return newline or [_eos(tokenizer)]


def prompt_notes(tokenizer: Tokenizer, separator: str = "newline") -> list[str]:
    """What a reader of the results must know about the tokens around the text, one sentence each."""
    bos, is_own = _bos(tokenizer)
    ids = separator_ids(tokenizer, separator)
    eos = tokenizer.decode([ids[0]])
    return [
        f"BOS is {tokenizer.decode([bos])}" + ("" if is_own else ", the end-of-text token: the tokenizer has no BOS"),
        "a newline separates demonstrations"
        if separator == "newline" and _newline_ids(tokenizer)
        else f"EOS {eos} separates demonstrations" + (", no newline token" if separator == "newline" else ""),
    ]


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """The model that a tokenizer belongs to, or its class."""
    return getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__


def _bos(tokenizer: Tokenizer) -> tuple[int, bool]:
    own = getattr(tokenizer, "bos_token_id", None)
    return (_eos(tokenizer), False) if own is None else (own, True)


def _eos(tokenizer: Tokenizer) -> int:
    eos = getattr(tokenizer, "eos_token_id", None)
    if eos is None:
        raise UserError(
            f"The tokenizer {tokenizer_name(tokenizer)} has no end-of-sequence token",
            "one to begin prompts with or to separate demonstrations",
            "Set its eos_token",
        )
    return eos


def _newline_ids(tokenizer: Tokenizer) -> list[int]:
    # Behind a letter: alone, a sentencepiece tokenizer puts a space in front of it, or makes only that space of it.
    letter, both = tokenizer(["a", "a\n"], add_special_tokens=False, verbose=False)["input_ids"]
    ids = list(both[len(letter) :]) if both[: len(letter)] == letter else []
    return ids if ids and "\n" in tokenizer.decode(ids) else []
