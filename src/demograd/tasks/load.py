"""From a name or a path to a task."""

from collections.abc import Mapping
from pathlib import Path

from demograd.errors import UserError, unknown_name
from demograd.tasks.builtin import BuiltIn, built_in_tasks
from demograd.tasks.files import read_file
from demograd.tasks.hub import hub_source, read_hub
from demograd.tasks.label_words import (
    GivenLabelWords,
    LabelWords,
    checked_words,
    label_words_of,
    missing_label_words,
)
from demograd.tasks.pools import split
from demograd.tasks.staicc import read_staicc
from demograd.tasks.table import Table, examples
from demograd.tasks.task import Task
from demograd.tasks.template import template_columns

SOURCES = ("staicc", "hub")


def load_task(
    name_or_path: str | Path,
    *,
    template: str | None = None,
    label_words: GivenLabelWords | None = None,
    label_column: str = "label",
    validation_path: str | Path | None = None,
    source: str | None = None,
) -> Task:
    """A built-in task by name, a hub data set as "hub:owner/name" or "hub:owner/name/config", or a file of your own.

    `template` ("Review: {text} Sentiment:") and `label_words` are needed for files and hub data sets, and replace those
    of a built-in task. `label_words` maps each value of `label_column` to a word, or lists the words in class order
    (the column then holds class numbers from 0, or the words). `validation_path` is a second file, from which queries
    are drawn; without it they come from a fixed part of the first. `source` says where a built-in task's data come
    from: the installed package ("staicc", the default where it has the task) or the "hub".

    Texts lose the white space around them. Raises UserError for everything that cannot work.
    """
    name = str(name_or_path)
    built_in = built_in_tasks().get(name)
    is_file = built_in is None and not name.startswith("hub:")
    if validation_path is not None and not is_file:
        raise UserError(f"validation_path for the task {name!r}", "a file as the task", "Leave validation_path out")
    if built_in is not None:
        return _load_built_in(name, built_in, template, label_words, label_column, source)
    if source is not None:
        raise UserError(f"source for the task {name!r}", "a built-in task", "Leave source out")
    if not is_file:
        table, validation = read_hub(hub_source(name, label_column))
    elif Path(name).suffix or Path(name).exists():
        table = read_file(name)
        validation = None if validation_path is None else read_file(validation_path)
    else:
        do = "Name a file that ends in .csv, .jsonl or .parquet, or a hub data set as hub:owner/name"
        raise unknown_name("task", name, built_in_tasks(), do)
    if template is None:
        raise UserError(
            f"{table.name} was given without a template",
            f"one with columns of it: {', '.join(map(repr, table.columns))}",
            'Pass a template, as in "Review: {text} Sentiment:"',
        )
    if label_words is None:
        raise missing_label_words(table, label_column)
    words = label_words_of(label_words, table, label_column)
    short_name = Path(name).stem if is_file else name
    return _task(short_name, template, words, table, validation, {}, label_column)


def _load_built_in(
    name: str,
    row: BuiltIn,
    template: str | None,
    label_words: GivenLabelWords | None,
    label_column: str,
    source: str | None,
) -> Task:
    if label_column != "label":
        raise UserError(f"label_column for the built-in task {name!r}", "a file or hub data set", "Leave it out")
    if source not in (None, *SOURCES):
        raise unknown_name("source", source, SOURCES, "Choose one of these")
    if source == "staicc" and row.staicc is None:
        raise UserError(f"Task {name!r} from the package", "a task that the package has", 'Pass source="hub"')
    words = checked_words(row.label_words if label_words is None else _in_class_order(name, row, label_words))
    template = row.template if template is None else template
    if row.staicc is not None and source != "hub":
        classes = {str(index): index for index in range(len(words))}
        return _task(name, template, LabelWords(words, classes), read_staicc(row.staicc), None, {}, "label")
    table, validation = read_hub(row.hub)
    known = label_words_of(dict(zip(row.hub.labels or [], words, strict=True)), table, row.hub.label)
    return _task(name, template, known, table, validation, row.hub.columns or {}, row.hub.label)


def _in_class_order(name: str, row: BuiltIn, given: GivenLabelWords) -> list[str]:
    if isinstance(given, Mapping) or len(given) != len(row.label_words):
        raise UserError(
            f"Label words {given!r} for the built-in task {name!r}",
            f"a list of {len(row.label_words)} words in the order of {', '.join(row.label_words)}",
            "List one word per class",
        )
    return list(given)


def _task(
    name: str,
    template: str,
    words: LabelWords,
    table: Table,
    validation: Table | None,
    columns: Mapping[str, str],
    label_column: str,
) -> Task:
    named = template_columns(template)
    mapping = {column: columns.get(column, column) for column in named}
    if label_column in mapping.values():
        raise UserError(
            f"Template {template!r} shows the label column {label_column!r}",
            "a template without the answer",
            "Remove it: the answer is appended where it belongs",
        )
    rows = examples(table, mapping, label_column, words.class_of_label)
    held_out = None if validation is None else examples(validation, mapping, label_column, words.class_of_label)
    source = table.name if validation is None else f"{table.name}, queries from {validation.name}"
    return Task(name, template, words.words, source, split(rows, held_out))
