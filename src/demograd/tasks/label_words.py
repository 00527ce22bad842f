"""Label words (the *verbalizer*): which word names the class of which label value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.errors import UserError, shortened
from demograd.tasks.sources.cells import label_key, text_of
from demograd.tasks.sources.table import DataTable, label_keys

GivenLabelWords = Mapping[Any, str] | Sequence[str]
"""What a user may say: label value -> word, or words in class order."""

_BOOLEANS = {"0": "false", "1": "true"}
_MOST_SHOWN = 10
"""Classes that a note or message spells out."""


@dataclass(frozen=True)
class LabelWords:
    """Words in class order, and the class of each label value (see `label_key`)."""

    words: tuple[str, ...]
    class_of_label: Mapping[str, int]
    class_names: Sequence[str] = ()
    """Names of the numbers among the label values, where the source of the words' table declares them."""

    def classes_in(self, table: DataTable, label_column: str) -> Mapping[str, int]:
        """The class of each label value of another table of the data set, which may number its classes otherwise.

        Names decide where either declares them.
        """
        numbered = table.class_names.get(label_column, ())
        if list(numbered) == list(self.class_names):
            return self.class_of_label
        by_name = {
            label_key(name): self.class_of_label[str(number)]
            for number, name in enumerate(self.class_names)
            if str(number) in self.class_of_label
        } or self.class_of_label
        by_number = {str(number): by_name[key] for number, key in enumerate(map(label_key, numbered)) if key in by_name}
        return by_number or {**by_name, **self.class_of_label}


def checked_words(words: Sequence[object]) -> tuple[str, ...]:
    """`words` as text. Raises UserError unless there are two or more, none empty, no two the same."""
    texts = tuple(text_of(word) for word in words)
    if isinstance(words, str) or len(texts) < 2 or len(set(texts)) < len(texts) or not all(texts):
        raise UserError(
            f"Label words {shortened(repr(list(words)))}",
            "two or more different words, one per class",
            "Give each class its own word",
        )
    return texts


def label_words_of(label_words: GivenLabelWords, table: DataTable, label_column: str) -> LabelWords:
    """What `given` says about the label column of `table`.

    A mapping goes from label value to word, and its order is the class order. A list is in class order: the label
    column then holds class numbers from 0 (of two classes also false and true, in this order), or the words themselves.
    Where a source declares names for its class numbers, a mapping may use either.

    Raises UserError for words that cannot be used, and for a list that can be read both ways with different results.
    """
    names = table.class_names.get(label_column, ())
    if isinstance(label_words, Mapping):
        numbers = {name: str(number) for number, name in enumerate(names)}
        keys = [numbers.get(text_of(key), label_key(key)) for key in label_words]
        words = checked_words(list(label_words.values()))
        if len(set(keys)) < len(keys):
            raise UserError(
                f"Label words {shortened(repr(dict(label_words)))} name one value twice",
                "each value once",
                "Remove one of them (1, 1.0 and true, TRUE are one value each)",
            )
        return LabelWords(words, _with_booleans({key: index for index, key in enumerate(keys)}), names)
    words = checked_words(label_words)
    by_number = {str(index): index for index in range(len(words))}
    by_word = {label_key(word): index for index, word in enumerate(words)}
    values = set(label_keys(table, label_column))
    lowered = [name.lower() for name in names]
    renumbered = sorted(lowered) == sorted(map(str.lower, words)) and lowered != list(map(str.lower, words))
    if renumbered or (values <= by_number.keys() & by_word.keys() and by_number != by_word):
        reading = "the names of the classes in another order" if renumbered else "themselves class numbers"
        keys = [*names] if renumbered else [*by_number]
        raise UserError(
            f"Label words {shortened(repr(list(words)))} are {reading}, and the labels could mean either",
            "a mapping from label value to word",
            f"Write it out, as in {shortened(repr(dict(zip(keys, words, strict=True))))}",
        )
    by_value = by_word if values <= by_word.keys() else _with_booleans(by_number)
    return LabelWords(words, by_value, names)


def _with_booleans(class_of_label: dict[str, int]) -> dict[str, int]:
    """Classes 0 and 1 are also false and true: both spellings, where the labels are one of the two pairs."""
    for other_form in (_BOOLEANS, {boolean: number for number, boolean in _BOOLEANS.items()}):
        if class_of_label.keys() == other_form.keys():
            return {**class_of_label, **{other_form[key]: index for key, index in class_of_label.items()}}
    return class_of_label


def class_notes(words: LabelWords, table: DataTable, label_column: str) -> list[str]:
    """Which class became which word, where the labels do not say it: numbers with declared names, true and false."""
    values = set(label_keys(table, label_column))
    if words.class_names:
        pairs = [
            f"{number} ({shortened(name)}) is {words.words[words.class_of_label[str(number)]]}"
            for number, name in enumerate(words.class_names)
            if str(number) in words.class_of_label
        ]
    elif values <= set(_BOOLEANS.values()):
        pairs = [
            f"{value} is {words.words[words.class_of_label[value]]}"
            for value in sorted(values)
            if value in words.class_of_label
        ]
    else:
        return []
    more = ", …" if len(pairs) > _MOST_SHOWN else ""
    return [f"Classes of {table.name}, column {label_column!r}: {', '.join(pairs[:_MOST_SHOWN])}{more}."]


def missing_label_words(table: DataTable, label_column: str) -> UserError:
    """The error for a source without label words: it shows the values that need one."""
    names = table.class_names.get(label_column, ())
    values = [*names] or sorted(set(label_keys(table, label_column)))
    shown = ", ".join(repr(shortened(value)) for value in values[:_MOST_SHOWN])
    return UserError(
        f"{table.name} was given without label words",
        f"a word for each value of {label_column!r}: {shown}{', …' if len(values) > _MOST_SHOWN else ''}",
        'Pass label_words, as in {"0": "Negative", "1": "Positive"}',
    )
