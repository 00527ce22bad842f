"""Columns of a data source, before anything is known about templates or classes, and the splits that a task takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from demograd.errors import UserError, shortened, shortened_list
from demograd.tasks.sources.cells import NotText, inside, label_key, text_of
from demograd.tasks.template import Example


@dataclass(frozen=True)
class DataTable:
    """Raw columns, all of the same length; None where a cell is missing."""

    name: str
    """What the user knows the source by, as messages and results call it."""
    columns: Mapping[str, Sequence[object]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column -> names of its numbered classes, where the source declares them (a ClassLabel of `datasets`)."""

    def column(self, name: str, role: str) -> Sequence[object]:
        """The cells of column `name`; "text.en" is what its objects hold under "en", "texts.0" the first of its lists.

        Raises UserError when there is none, naming those there are.
        """
        if name in self.columns:
            return self.columns[name]
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            if (column := ".".join(parts[:cut])) in self.columns:
                cells = [inside(cell, parts[cut:]) for cell in self.columns[column]]
                if any(cell is not None for cell in cells):
                    return cells
        only = len(self.columns) == 1
        raise UserError(
            f"{self.name} has no column {name!r} ({role})",
            f"a column of that name; it has {shortened_list(map(repr, self.columns), 400) or 'no columns'}"
            + (" alone: something else than a comma, semicolon, tab or | may separate its cells" if only else ""),
            "Change the template or the label column, or rename the column",
        )


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a table that have a class, in order."""

    examples: list[Example]
    without_gold: int
    """Rows that are left out, for what numbers their classes declares that they have none."""


def labelled_examples(
    table: DataTable, columns: Mapping[str, str], label_column: str, class_of_label: Mapping[str, int]
) -> LabelledRows:
    """The rows of `table` as examples.

    `columns` maps a template's column to the table's. Where a source numbers its classes, -1 or nothing says that a row
    has none (as in SNLI): it is left out and counted. Raises UserError for missing columns, cells that are empty,
    unreadable or no text, and labels without a word, each with how many rows it concerns.
    """
    keys = _checked(table, label_column, table.column(label_column, "the label"), label_key)
    if not keys:
        raise UserError(f"{table.name} is empty", "at least one row for each of two classes", "Give another data set")
    numbered = label_column in table.class_names
    rows = [row for row, key in enumerate(keys) if not (numbered and key in ("", "-1") and key not in class_of_label)]
    cells = {}
    for ours, name in columns.items():
        column = table.column(name, "named by the template")
        texts = cells[ours] = _checked(table, name, column, text_of, rows)
        _refuse_rows(table, f"nothing in column {name!r}", [row for row in rows if not texts[row]])
        unreadable = [] if _is_unicode("".join(texts)) else [row for row in rows if not _is_unicode(texts[row])]
        _refuse_rows(table, f"half a character (a lone surrogate) in column {name!r}", unreadable)
    _refuse_rows(table, f"nothing in label column {label_column!r}", [row for row in rows if not keys[row]])
    _refuse_labels(table, label_column, {row: keys[row] for row in rows}, class_of_label)
    return LabelledRows(
        [Example({ours: texts[row] for ours, texts in cells.items()}, class_of_label[keys[row]]) for row in rows],
        len(keys) - len(rows),
    )


def label_keys(table: DataTable, label_column: str) -> list[str]:
    """The label of each row in its one form (see `label_key`).

    Raises UserError for a column that is not there, and labels that are no text.
    """
    return _checked(table, label_column, table.column(label_column, "the label"), label_key)


def _checked(
    table: DataTable,
    column: str,
    cells: Sequence[object],
    read: Callable[[object], str],
    rows: Sequence[int] | None = None,
) -> list[str]:
    """`read` of each cell in `rows` (None: all); elsewhere an empty text."""
    texts, refused = [""] * len(cells), dict[int, NotText]()
    for row in range(len(cells)) if rows is None else rows:
        try:
            texts[row] = read(cells[row])
        except NotText as error:
            refused[row] = error
    if refused:
        first = next(iter(refused.values()))
        _refuse_rows(table, f"{first.kind} in column {column!r}", [*refused], first.do(column))
    return texts


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can say "\ud800", which is no text and which no tokenizer takes
        return False
    return True


def _refuse_rows(table: DataTable, content: str, rows: list[int], do: str = "Fill or remove these rows") -> None:
    if rows:
        count = "1 row has" if len(rows) == 1 else f"{len(rows)} rows have"
        raise UserError(
            f"In {table.name} {count} {content} ({_numbered(rows)})",
            "text in every cell that the task uses",
            do,
        )


def _numbered(rows: Sequence[int]) -> str:
    return f"data row {', '.join(str(row + 1) for row in rows[:5])}{', …' if len(rows) > 5 else ''}"


def _refuse_labels(
    table: DataTable, label_column: str, labels: Mapping[int, str], class_of_label: Mapping[str, int]
) -> None:
    unknown: dict[str, list[int]] = {}
    for row, key in labels.items():
        if key not in class_of_label:
            unknown.setdefault(key, []).append(row)
    if unknown:
        counts = [f"{shortened(key)!r} ({len(rows)} rows)" for key, rows in sorted(unknown.items())[:10]]
        position = _numbered(sorted(row for rows in unknown.values() for row in rows))
        keys = [repr(shortened(key)) for key in class_of_label]
        raise UserError(
            f"In {table.name} label column {label_column!r} has values that have no label word: "
            f"{', '.join(counts)}{', …' if len(unknown) > 10 else ''}; {position}",
            f"one of {', '.join(keys[:20])}{', …' if len(keys) > 20 else ''}",
            "Add them to label_words, or remove these rows",
        )
    if len(set(labels.values())) < 2:
        shown = (
            f"every row has the label {shortened(next(iter(labels.values())))!r}" if labels else "no row has a label"
        )
        raise UserError(
            f"In {table.name} {shown}",
            "examples of at least two classes",
            "Give data in which there is something to tell apart",
        )


@dataclass(frozen=True)
class Data:
    """What a source holds."""

    table: DataTable
    validation: DataTable | None = None
    """Where queries come from; None: from a part of `table`."""
    notes: tuple[str, ...] = ()


def chosen_splits(name: str, splits: Mapping[str, DataTable], split: str | None, validation_split: str | None) -> Data:
    """The splits `split` ("train" where none is named) and `validation_split` ("validation", where there is one).

    A note says which others are not used. Raises UserError for a split that is not there, and for the same one twice.
    """
    train = split or "train"
    validation = validation_split or ("validation" if "validation" in splits and train != "validation" else None)
    for required in (train, validation):
        if required is not None and required not in splits:
            raise UserError(
                f"{name[0].upper() + name[1:]} has no split {shortened(required)!r}",
                f"one of {_listed(splits)}",
                "Choose with split (to demonstrate) and validation_split (to ask)",
            )
    if validation == train:
        raise UserError(
            f"{name[0].upper() + name[1:]}: split and validation_split are both {shortened(train)!r}",
            "two splits, so that no query is a demonstration",
            "Leave validation_split out: queries then are a part of the split",
        )
    unused = [other for other in splits if other not in (train, validation)]
    origin = f"from {validation}" if validation else f"from a part of {train}"
    note = f"Of {name}, split {_listed(unused)} is not used: demonstrations come from {train}, queries {origin}."
    return Data(splits[train], None if validation is None else splits[validation], (note,) if unused else ())


def _listed(names: Mapping[str, DataTable] | list[str]) -> str:
    shown = [shortened(name) for name in names]
    return ", ".join(shown[:20]) + (f", … ({len(shown)} in all)" if len(shown) > 20 else "")
