"""Added tokens that stand for control, such as <tool_call>, in text that nobody vouches for.

transformers' `split_special_tokens` leaves out those alone that a tokenizer calls special; Qwen's <tool_call> and
<think> are none, and would be swallowed from a review as one token each. Other added tokens are vocabulary of ordinary
text: the runs of spaces of GPT-NeoX, Phi and Gemma, or words that someone added.
"""

import copy
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Encode = Callable[[list[str]], list[list[int]]]

_HTML = re.compile(
    r"</?(b|blockquote|body|br|caption|center|cite|code|dd|del|div|dl|dt|em|font|form|h[1-6]|head|hr|html|i|img|ins|kbd"
    r"|li|ol|p|pre|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul)\s*/?>"
)
"""Tags of text. Control has the names of some others: <s>, <summary>, <source>, and in capitals <PRE>."""

_encoders: WeakKeyDictionary[Any, tuple[int, Encode | None, frozenset[int]]] = WeakKeyDictionary()
"""Tokenizer -> its number of tokens, an encoder of a copy of it, and its control tokens: a copy may take a second."""


def is_control(content: str) -> bool:
    """Whether an added token looks like a tag: a letter or digit between punctuation or symbols at both ends.

    So do <think>, [INST], |||EMAIL_ADDRESS||| and >>QUESTION<<; runs of white space, words and bare punctuation do not.
    Nor is HTML control: <br> and <h1> are what web text is written in, and single tokens of Gemma for that reason.
    """
    text = content.strip().strip("▁Ġ")
    return (
        len(text) > 2
        and not _HTML.fullmatch(text)
        and all(unicodedata.category(end)[0] in "PS" for end in (text[0], text[-1]))
        and any(letter.isalnum() for letter in text)
    )


def ordinary(tokenizer: Any) -> tuple[Encode, frozenset[int]]:
    """A function from texts to token ids in which no token for control is found, and the ids of those tokens.

    Special tokens are left out as well, and neither BOS nor EOS is added.
    """
    size = len(tokenizer) if hasattr(tokenizer, "__len__") else -1
    entry = _encoders.get(tokenizer)
    if entry is None or entry[0] != size:
        entry = _encoders[tokenizer] = (size, *_copied(tokenizer))
    _, encode, control = entry
    return encode or _split_special(tokenizer), control


def _split_special(tokenizer: Any) -> Encode:
    return lambda texts: [
        list(ids)
        for ids in tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    ]


def _copied(tokenizer: Any) -> tuple[Encode | None, frozenset[int]]:
    """The encoder of a copy, where the tokenizer itself would not do (see `ordinary`), and the control tokens."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = set(getattr(tokenizer, "all_special_ids", []))
    control = frozenset(
        id for id, token in added.items() if id not in special and not token.special and is_control(token.content)
    )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return (_without(backend, control) if control else None), control
    vocabulary = {token.content: id for id, token in added.items() if id not in special | control and not token.special}
    return (_with_vocabulary(tokenizer, vocabulary) if vocabulary else None), control


def _without(backend: Any, control: frozenset[int]) -> Encode:
    """An encoder from a copy of a fast tokenizer, in which control tokens are special, and special tokens are split."""
    content = json.loads(backend.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["special"] or token["id"] in control
    other = type(backend).from_str(json.dumps(content))
    other.encode_special_tokens = True
    other.no_padding()
    other.no_truncation()
    return lambda texts: [encoding.ids for encoding in other.encode_batch(texts, add_special_tokens=False)]


def _with_vocabulary(tokenizer: Any, vocabulary: dict[str, int]) -> Encode:
    """An encoder from a tokenizer in Python: the words of the vocabulary are found first, what is between is encoded.

    With `split_special_tokens` alone the tokenizer would pass over all words that were added.
    """
    words = type(tokenizer.tokens_trie)([*vocabulary])
    between = _split_special(copy.copy(tokenizer))

    def ids(text: str) -> list[int]:
        pieces = [piece for piece in words.split(text) if piece]
        return [id for piece in pieces for id in ([vocabulary[piece]] if piece in vocabulary else between([piece])[0])]

    return lambda texts: [ids(text) for text in texts]
