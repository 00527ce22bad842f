"""Columns of a data source, before anything is known about templates or classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demograd.errors import UserError, listed
from demograd.tasks.example import Example


@dataclass(frozen=True)
class Table:
    """Raw columns, all of the same length; None where a cell is missing."""

    name: str
    """What the user knows the source by, as messages and results call it."""
    columns: Mapping[str, Sequence[object]]
    class_names: Sequence[str] = ()
    """Names of the numbered classes, where the source declares them (a hub data set's ClassLabel)."""

    def column(self, name: str, role: str) -> Sequence[object]:
        """The cells of column `name`. Raises UserError when there is none, naming those there are."""
        if name not in self.columns:
            raise UserError(
                f"{self.name} has no column {name!r} ({role})",
                f"a column of that name; it has {listed(map(repr, self.columns), 400) or 'no columns'}",
                "Change the template or the label column, or rename the column",
            )
        return self.columns[name]


def cell_text(value: object) -> str:
    """A cell as text without white space around it: SST2's sentences end in a space, and ' ' is no review.

    A whole number is written as one ("1", never "1.0": a column of numbers with a gap in it is read as floats).
    """
    if value is None or value != value:  # not a number is how tables say "nothing here"
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def examples(
    table: Table, columns: Mapping[str, str], label_column: str, class_of_label: Mapping[str, int]
) -> list[Example]:
    """The rows of `table` as examples, in order.

    `columns` maps a template's column to the table's. Raises UserError for missing columns, empty or unreadable cells,
    and labels without a word, each with how many rows it concerns.
    """
    cells = {
        ours: [cell_text(value) for value in table.column(theirs, "named by the template")]
        for ours, theirs in columns.items()
    }
    labels = [cell_text(value) for value in table.column(label_column, "the label")]
    if not labels:
        raise UserError(f"{table.name} is empty", "at least one row for each of two classes", "Give another data set")
    for ours, theirs in columns.items():
        _refuse_rows(table, f"nothing in column {theirs!r}", [row for row, text in enumerate(cells[ours]) if not text])
        unreadable = [row for row, text in enumerate(cells[ours]) if not _is_unicode(text)]
        _refuse_rows(table, f"half a character (a lone surrogate) in column {theirs!r}", unreadable)
    _refuse_rows(table, f"nothing in label column {label_column!r}", [row for row, key in enumerate(labels) if not key])
    _refuse_labels(table, label_column, labels, class_of_label)
    return [
        Example(dict(zip(columns, row, strict=True)), class_of_label[key])
        for key, *row in zip(labels, *cells.values(), strict=True)
    ]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can say "\ud800", which is no text and which no tokenizer takes
        return False
    return True


def _refuse_rows(table: Table, what: str, rows: list[int]) -> None:
    if rows:
        count = "1 row has" if len(rows) == 1 else f"{len(rows)} rows have"
        first = ", ".join(str(row + 1) for row in rows[:5])
        raise UserError(
            f"In {table.name} {count} {what} (data row {first}{', …' if len(rows) > 5 else ''})",
            "text in every cell that the task uses",
            "Fill or remove these rows",
        )


def _refuse_labels(table: Table, label_column: str, labels: list[str], class_of_label: Mapping[str, int]) -> None:
    unknown = sorted(set(labels) - set(class_of_label))
    if unknown:
        counts = [f"{key!r} ({labels.count(key)} rows)" for key in unknown[:10]]
        raise UserError(
            f"In {table.name} label column {label_column!r} has values that have no label word: "
            f"{', '.join(counts)}{', …' if len(unknown) > 10 else ''}",
            f"one of {', '.join(map(repr, class_of_label))}",
            "Add them to label_words, or remove these rows",
        )
    if len(set(labels)) < 2:
        raise UserError(
            f"In {table.name} every row has the label {labels[0]!r}",
            "examples of at least two classes",
            "Give data in which there is something to tell apart",
        )
