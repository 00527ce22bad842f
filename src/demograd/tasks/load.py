"""From a name or a path to a task: a template, label words, and the tables of a source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from demograd.errors import UserError, unknown_name
from demograd.tasks.label_words import (
    GivenLabelWords,
    LabelWords,
    checked_words,
    class_notes,
    label_words_of,
    missing_label_words,
)
from demograd.tasks.pools import repetition_notes, split
from demograd.tasks.sources.built_in import BuiltIn, built_in_tasks, check_task_name
from demograd.tasks.sources.cells import label_key
from demograd.tasks.sources.files import stem_of
from demograd.tasks.sources.folders import read_path
from demograd.tasks.sources.hub import hub_source, read_hub
from demograd.tasks.sources.staicc import read_staicc
from demograd.tasks.sources.table import Data, DataTable, LabelledRows, label_keys, labelled_examples
from demograd.tasks.task import Task
from demograd.tasks.template import check_ending, template_columns


def load_task(
    name_or_path: str | Path,
    *,
    template: str | None = None,
    label_words: GivenLabelWords | None = None,
    label_column: str = "label",
    validation_path: str | Path | None = None,
    split: str | None = None,
    validation_split: str | None = None,
    encoding: str | None = None,
    source: str | None = None,
    answer_prefix: str = " ",
) -> Task:
    """A built-in task by name, a hub data set as "hub:owner/name" or "hub:owner/name/config", or data of your own.

    Data of your own are a file (CSV, TSV, JSON, JSON lines, Parquet or Arrow; text also compressed), a folder of such
    files of one kind, or a folder of `save_to_disk`.

    "cb=my.jsonl" is the built-in task's template and words on the examples of a file: its columns are called as the
    template's, its labels as on the hub or as the label words.

    `template` ("Review: {text} Sentiment:") and `label_words` are needed for files and hub data sets, and replace those
    of a built-in task; "{text.en}" is what the objects of a column hold under a name. `label_words` maps each value of
    `label_column` to a word, or lists the words in class order (the column then holds class numbers from 0, false and
    true, or the words). `validation_path` is a second file, from which queries are drawn; without it they come from a
    fixed part of the first. `split` and `validation_split` name those of a hub data set or folder ("train" and
    "validation" without them), `encoding` that of text ("latin-1"). `source` says where a built-in task's data come
    from: the installed package ("staicc", the default where it has the task) or the "hub". `answer_prefix` stands
    between text and answer: "" in languages without spaces, or behind a template that ends in a line break.

    Texts lose the white space around them. Raises UserError for everything that cannot work.
    """
    if template is not None:
        check_ending(template, answer_prefix)
    task = _loaded(
        name_or_path, template, label_words, label_column, validation_path, source, split, validation_split, encoding
    )
    return task if answer_prefix == task.answer_prefix else replace(task, answer_prefix=answer_prefix)


def _loaded(
    name_or_path: str | Path,
    template: str | None,
    label_words: GivenLabelWords | None,
    label_column: str,
    validation_path: str | Path | None,
    source: str | None,
    split: str | None,
    validation_split: str | None,
    encoding: str | None,
) -> Task:
    name = str(name_or_path)
    check_task_name(name)
    before, equals, path = name.partition("=")
    built_in = built_in_tasks().get(before)
    on_file = built_in is not None and bool(equals)
    if on_file and not path:
        raise UserError(f"The task {name!r}", f"a file behind {name}", f"Name one, as in {name}{before}.csv")
    is_file = on_file or (built_in is None and not name.startswith("hub:"))
    if validation_path is not None and not is_file:
        raise UserError(f"validation_path for the task {name!r}", "a file as the task", "Leave validation_path out")
    if encoding is not None and not is_file:
        raise UserError(f"encoding for the task {name!r}", "a file as the task", "Leave encoding out")
    if built_in is not None and not on_file:
        if label_column != "label":
            raise UserError(f"label_column for the built-in task {name!r}", "a file or hub data set", "Leave it out")
        if split or validation_split:
            raise UserError(f"A split for the built-in task {name!r}", "a folder or hub data set", "Leave it out")
        task = load_built_in(name, built_in, template, label_words, source)
        return _with_abstract_template(task, built_in)
    if source is not None:
        raise UserError(f"source for the task {name!r}", "a built-in task", "Leave source out")
    if built_in is not None:
        data = _own(path, validation_path, encoding, split, validation_split)
        task = load_built_in_from_file(before, built_in, data, template, label_words, label_column)
        return _with_abstract_template(task, built_in)
    if not is_file:
        data = read_hub(hub_source(name, label_column, split, validation_split))
    else:
        data = _own(name, validation_path, encoding, split, validation_split)
    table = data.table
    if template is None:
        raise UserError(
            f"{table.name} was given without a template",
            f"one with columns of it: {', '.join(map(repr, table.columns))}",
            'Pass a template, as in "Review: {text} Sentiment:"',
        )
    if label_words is None:
        raise missing_label_words(table, label_column)
    words = label_words_of(label_words, table, label_column)
    return compose(stem_of(Path(name)) if is_file else name, template, words, Source(data, label_column))


def _with_abstract_template(task: Task, row: BuiltIn) -> Task:
    """With the built-in task's template for abstract labels, unless the user has another template."""
    return replace(task, abstract_template=row.abstract_template) if task.template == row.template else task


def _own(
    path: str | Path,
    validation_path: str | Path | None,
    encoding: str | None,
    split: str | None,
    validation_split: str | None,
) -> Data:
    """The user's files. Of a folder for queries, `validation_split` is taken, or what it holds."""
    if validation_path is None:
        return read_path(path, encoding, split, validation_split)
    data = read_path(path, encoding, split)
    queries = read_path(validation_path, encoding, validation_split)
    return Data(data.table, queries.table)


SOURCES = ("staicc", "hub")


def load_built_in(
    name: str, row: BuiltIn, template: str | None, label_words: GivenLabelWords | None, source: str | None
) -> Task:
    """The task from `source`: the package ("staicc", the default where it has the task) or the "hub"."""
    if source not in (None, *SOURCES):
        raise unknown_name("source", source, SOURCES, "Choose one of these")
    if source == "staicc" and row.staicc is None:
        raise UserError(f"Task {name!r} from the package", "a task that the package has", 'Pass source="hub"')
    words = _in_class_order(name, row, label_words)
    template = row.template if template is None else template
    if row.staicc is not None and source != "hub":
        return _packaged(name, row.staicc, template, tuple(words), row.notes)
    data = read_hub(row.hub)
    mapping = label_words_of(dict(zip(row.hub.labels, words, strict=True)), data.table, row.hub.label)
    return compose(name, template, mapping, Source(data, row.hub.label, row.hub.columns), row.notes)


@lru_cache(maxsize=4)
def _packaged(name: str, file: str, template: str, words: tuple[str, ...], notes: tuple[str, ...]) -> Task:
    """Read once: the package stays as it is, and some of its tasks have a hundred thousand examples."""
    classes = {str(index): index for index in range(len(words))}
    return compose(name, template, LabelWords(words, classes), Source(Data(read_staicc(file))), notes)


def load_built_in_from_file(
    name: str,
    row: BuiltIn,
    data: Data,
    template: str | None,
    label_words: GivenLabelWords | None,
    label_column: str,
) -> Task:
    """The task with the examples of a file, whose columns are called as the template's or as the hub data set's.

    Its labels are the hub data set's names or the label words. Numbers need a mapping in `label_words`: copies of one
    data set number its classes in different orders.
    """
    table = data.table
    if label_column == "label" and row.hub.label in table.columns:
        label_column = row.hub.label
    if isinstance(label_words, Mapping):
        words = label_words_of(label_words, table, label_column)
    else:
        in_order = _in_class_order(name, row, label_words)
        values = set(label_keys(table, label_column))
        by_word = {label_key(word): index for index, word in enumerate(in_order)}
        if values <= by_word.keys():
            words = LabelWords(in_order, by_word)
        else:
            words = label_words_of(dict(zip(row.hub.labels, in_order, strict=True)), table, label_column)
    columns = {ours: column for ours, column in row.hub.columns.items() if ours not in table.columns}
    source = Source(data, label_column, columns)
    return compose(name, row.template if template is None else template, words, source, row.notes)


def _in_class_order(name: str, row: BuiltIn, label_words: GivenLabelWords | None) -> tuple[str, ...]:
    if label_words is None:
        return checked_words(row.label_words)
    if isinstance(label_words, Mapping) or len(label_words) != len(row.label_words):
        raise UserError(
            f"Label words {label_words!r} for the built-in task {name!r}",
            f"a list of {len(row.label_words)} words in the order of {', '.join(row.label_words)}",
            "List one word per class",
        )
    return checked_words(label_words)


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

    def labelled(table: DataTable) -> LabelledRows:
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
