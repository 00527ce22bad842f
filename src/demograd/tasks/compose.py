"""A task out of a template, label words and the tables of a source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demograd.errors import UserError
from demograd.tasks.label_words import LabelWords, class_notes
from demograd.tasks.pools import split
from demograd.tasks.repetitions import repetition_notes
from demograd.tasks.splits import Data
from demograd.tasks.table import Labelled, Table, labelled_examples
from demograd.tasks.task import Task
from demograd.tasks.template import template_columns


@dataclass(frozen=True)
class Source:
    """The tables of a data set, and how to read them."""

    data: Data
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

    def labelled(table: Table) -> Labelled:
        classes = words.classes_in(table, source.label_column)
        return labelled_examples(table, mapping, source.label_column, classes)

    table, validation = source.data.table, source.data.validation
    rows, held_out = labelled(table), None if validation is None else labelled(validation)
    described = table.name if validation is None else f"{table.name}, queries from {validation.name}"
    pools = split(rows.examples, None if held_out is None else held_out.examples)
    if validation is not None and not pools.training + pools.tuning:
        raise UserError(
            f"All {len(rows.examples):,} texts of {table.name} are also in {validation.name}",
            "other texts to demonstrate than to ask",
            "Give other data to ask, or none: queries are then a part of the first",
        )
    sentences = [*notes, *source.data.notes, *class_notes(words, table, source.label_column)]
    for part, from_table in ((rows, table), (held_out, validation)):
        if part is not None and from_table is not None and part.without_gold:
            sentences.append(
                f"{part.without_gold:,} of {part.without_gold + len(part.examples):,} rows of {from_table.name} have "
                "no gold label (-1) and are left out."
            )
    used = len(pools.training) + len(pools.tuning) + (0 if held_out else len(pools.queries))
    examples = rows.examples + (held_out.examples if held_out else [])
    sentences += repetition_notes(name, examples, pools, len(rows.examples) - used)
    return Task(name, template, words.words, described, pools, tuple(sentences))
