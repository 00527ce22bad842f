"""What a tokenizer makes of text that nobody vouches for, and of the answer behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from demograd.errors import UserError, quoted, shortened, shortened_list
from demograd.tasks.control_tokens import ordinary
from demograd.tasks.tokenizer import Tokenizer, bos_id, tokenizer_name

_PREFIX = 2
"""Most tokens that a tokenizer puts before a text of its own, such as a space."""


@dataclass(frozen=True)
class Encoded:
    """Texts, and the answer of each class behind any of them."""

    texts: list[list[int]]
    """ids(text) of each text."""
    answers: list[list[int]]
    """Per class, ids(text + answer) minus its prefix ids(text): the same for every text."""


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without BOS or EOS; "<|im_end|>" in a review is ten characters, not the end of it.

    Tokens that were added for control are ordinary characters here too (see `ordinary`).

    Raises UserError where a tokenizer makes a special token of data all the same.
    """
    if not texts:
        return []
    plain, control = ordinary(tokenizer)
    ids = plain(list(texts))
    special = _forbidden_ids(tokenizer) | control
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
    before it, and where two answers are the same tokens, or the tokens of one begin another's.
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
            f"{shortened_list(map(repr, answers))} the same tokens",
            "words that it can tell apart",
            "Choose other label words, or another model",
        )
    for (short, begins), (long, continuation) in permutations(zip(answers, suffixes, strict=True), 2):
        if continuation[: len(begins)] == begins:
            raise UserError(
                f"The tokens of the label word {short.strip()!r} begin those of {long.strip()!r} (tokenizer "
                f"{tokenizer_name(tokenizer)}), and both are scored by the mean over their tokens",
                "words of which none begins another: nothing says where the shorter one ends",
                "Choose other label words",
            )
    return Encoded(prefixes, suffixes)


def fitting_texts(tokenizer: Tokenizer, texts: Sequence[str], answers: Sequence[str], limit: int) -> list[bool]:
    """Whether each text takes at most `limit` tokens with the longest answer.

    A text has no more tokens than bytes, so few are encoded.
    """
    spare = max(len(answer.encode()) for answer in answers) + _PREFIX
    fits = [len(text.encode()) + spare <= limit for text in texts]
    open_ = [number for number, is_short in enumerate(fits) if not is_short]
    if open_:
        ids = encode(tokenizer, [texts[number] for number in open_])
        answer = max(map(len, encode_with_answers(tokenizer, [texts[open_[0]]], answers).answers))
        for number, tokens in zip(open_, ids, strict=True):
            fits[number] = len(tokens) + answer <= limit
    return fits


def _forbidden_ids(tokenizer: Tokenizer) -> set[int]:
    special = {bos_id(tokenizer), *getattr(tokenizer, "all_special_ids", [])}
    unknown = getattr(tokenizer, "unk_token_id", None)
    added = getattr(tokenizer, "added_tokens_decoder", None)
    if added and bos_id(tokenizer) not in added:  # a study may begin prompts with a word that texts have too
        special.discard(bos_id(tokenizer))
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
