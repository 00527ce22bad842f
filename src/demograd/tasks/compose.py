"""A task out of a template, label words and the tables of a source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demograd.errors import UserError
from demograd.tasks.label_words import LabelWords
from demograd.tasks.pools import split
from demograd.tasks.table import Table, examples
from demograd.tasks.task import Task
from demograd.tasks.template import template_columns


@dataclass(frozen=True)
class Source:
    """The tables of a data set, and how to read them."""

    table: Table
    validation: Table | None = None
    """Where queries come from; None: from a part of `table`."""
    label_column: str = "label"
    columns: Mapping[str, str] = field(default_factory=dict)
    """Template column -> the tables' column, where the names differ."""


def compose(name: str, template: str, words: LabelWords, source: Source, notes: Sequence[str] = ()) -> Task:
    """The task. Raises UserError where template, words and tables do not fit each other."""
    mapping = {column: source.columns.get(column, column) for column in template_columns(template)}
    if source.label_column in mapping.values():
        raise UserError(
            f"Template {template!r} shows the label column {source.label_column!r}",
            "a template without the answer",
            "Remove it: the answer is appended where it belongs",
        )
    rows = examples(source.table, mapping, source.label_column, words.class_of_label)
    described, held_out = source.table.name, None
    if source.validation is not None:
        held_out = examples(source.validation, mapping, source.label_column, words.class_of_label)
        described += f", queries from {source.validation.name}"
    return Task(name, template, words.words, described, split(rows, held_out), tuple(notes))
