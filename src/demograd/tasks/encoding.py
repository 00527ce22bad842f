"""What a tokenizer makes of text that nobody vouches for, and of the answer behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from demograd.errors import UserError, listed, quoted, shortened
from demograd.tasks.tokenizer import Tokenizer, bos_id, tokenizer_name


@dataclass(frozen=True)
class Encoded:
    """Texts, and the answer of each class behind any of them."""

    texts: list[list[int]]
    """ids(text) of each text."""
    answers: list[list[int]]
    """Per class, ids(text + answer) minus its prefix ids(text): the same for every text."""


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without BOS or EOS; "<|im_end|>" in a review is ten characters, not the end of it.

    Raises UserError where a tokenizer makes a special token of data all the same.
    """
    if not texts:
        return []
    ids = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    special = _forbidden_ids(tokenizer)
    for text, tokens in zip(texts, ids, strict=True):
        if special.intersection(tokens):
            raise UserError(
                f"The tokenizer makes a special token of the text {shortened(text)!r}",
                "ordinary tokens for every text of the data",
                "Remove that text from the data, or use another tokenizer",
            )
    return [list(tokens) for tokens in ids]


def encode_with_answers(tokenizer: Tokenizer, texts: Sequence[str], answers: Sequence[str]) -> Encoded:
    """Tokens of each text and of each class's answer, checked on every pair of them.

    Raises UserError where ids(text) is not a prefix of ids(text + answer), where an answer's tokens depend on the text
    before it, and where two answers are the same tokens.
    """
    prefixes = encode(tokenizer, texts)
    suffixes: list[list[int]] = []
    for answer in answers:
        whole = encode(tokenizer, [text + answer for text in texts])
        for text, prefix, tokens in zip(texts, prefixes, whole, strict=True):
            suffix = tokens[len(prefix) :]
            if tokens[: len(prefix)] != prefix or not suffix or suffix != whole[0][len(prefixes[0]) :]:
                raise _unclean_answer(tokenizer, text, answer)
        suffixes.append(whole[0][len(prefixes[0]) :])
    if len(set(map(tuple, suffixes))) < len(suffixes):
        raise UserError(
            f"The tokenizer {tokenizer_name(tokenizer)} gives two of the label words "
            f"{listed(map(repr, answers))} the same tokens",
            "words that it can tell apart",
            "Choose other label words, or another model",
        )
    return Encoded(prefixes, suffixes)


def _forbidden_ids(tokenizer: Tokenizer) -> set[int]:
    special = {bos_id(tokenizer), *getattr(tokenizer, "all_special_ids", [])}
    unknown = getattr(tokenizer, "unk_token_id", None)
    # A character outside the vocabulary is a fact about the text; a BOS or EOS would change what the prompt is.
    if unknown not in (bos_id(tokenizer), getattr(tokenizer, "eos_token_id", None)):
        special.discard(unknown)
    return special


def _unclean_answer(tokenizer: Tokenizer, text: str, answer: str) -> UserError:
    return UserError(
        f"The tokenizer {tokenizer_name(tokenizer)} does not put the tokens of {quoted(answer)} cleanly behind "
        f"{shortened(text)!r}",
        "ids(text + answer) to be ids(text) and then tokens that are the same behind every text",
        "Choose another label word or template (one that ends in a letter or a colon), or another model",
    )
