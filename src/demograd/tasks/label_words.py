"""Label words (the *verbalizer*): which word names the class of which label value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.errors import UserError
from demograd.tasks.table import Table, cell_text

GivenLabelWords = Mapping[Any, str] | Sequence[str]
"""What a user may say: label value -> word, or words in class order."""


@dataclass(frozen=True)
class LabelWords:
    """Words in class order, and the class of each label value."""

    words: tuple[str, ...]
    class_of_label: Mapping[str, int]


def checked_words(words: Sequence[object]) -> tuple[str, ...]:
    """`words` as text. Raises UserError unless there are two or more, none empty, no two the same."""
    texts = tuple(cell_text(word) for word in words)
    if isinstance(words, str) or len(texts) < 2 or len(set(texts)) < len(texts) or not all(texts):
        raise UserError(
            f"Label words {list(words)!r}", "two or more different words, one per class", "Give each class its own word"
        )
    return texts


def label_words_of(given: GivenLabelWords, table: Table, label_column: str) -> LabelWords:
    """What `given` says about the label column of `table`.

    A mapping goes from label value to word, and its order is the class order. A list is in class order: the label
    column then holds class numbers from 0, or the words themselves. Where a source declares names for its class
    numbers, a mapping may use either.

    Raises UserError for words that cannot be used, and for a list that can be read both ways with different results.
    """
    if isinstance(given, Mapping):
        numbers = {name: str(number) for number, name in enumerate(table.class_names)}
        keys = [numbers.get(cell_text(key), cell_text(key)) for key in given]
        words = checked_words(list(given.values()))
        if len(set(keys)) < len(keys):
            raise UserError(
                f"Label words {dict(given)!r} name one value twice", "each value once", "Remove one of them"
            )
        return LabelWords(words, {key: index for index, key in enumerate(keys)})
    words = checked_words(given)
    by_number = {str(index): index for index in range(len(words))}
    by_word = {word: index for index, word in enumerate(words)}
    values = {cell_text(value) for value in table.column(label_column, "the label")}
    if values <= by_number.keys() & by_word.keys() and by_number != by_word:
        raise UserError(
            f"Label words {list(words)!r} are themselves class numbers, and the labels could mean either",
            "a mapping from label value to word",
            f"Write it out, as in {dict(zip(by_number, words, strict=True))!r}",
        )
    return LabelWords(words, by_word if values <= by_word.keys() else by_number)


def missing_label_words(table: Table, label_column: str) -> UserError:
    """The error for a source without label words: it shows the values that need one."""
    values = sorted({cell_text(value) for value in table.column(label_column, "the label")})
    shown = ", ".join(map(repr, values[:10])) + (", …" if len(values) > 10 else "")
    return UserError(
        f"{table.name} was given without label words",
        f"a word for each value of {label_column!r}: {shown}",
        'Pass label_words, as in {"0": "Negative", "1": "Positive"}',
    )
