"""From a name or a path to a task."""

from dataclasses import replace
from pathlib import Path

from demograd.errors import UserError
from demograd.tasks.builtin import built_in_tasks, check_task_name
from demograd.tasks.compose import Source, compose
from demograd.tasks.files import stem_of
from demograd.tasks.folders import read_path
from demograd.tasks.hub import hub_source, read_hub
from demograd.tasks.label_words import GivenLabelWords, label_words_of, missing_label_words
from demograd.tasks.load_built_in import load_built_in, load_built_in_from_file
from demograd.tasks.splits import Data
from demograd.tasks.task import Task
from demograd.tasks.template import check_ending


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
    task = _found(
        name_or_path, template, label_words, label_column, validation_path, source, split, validation_split, encoding
    )
    return task if answer_prefix == task.answer_prefix else replace(task, answer_prefix=answer_prefix)


def _found(
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
        return load_built_in(name, built_in, template, label_words, source)
    if source is not None:
        raise UserError(f"source for the task {name!r}", "a built-in task", "Leave source out")
    if built_in is not None:
        data = _own(path, validation_path, encoding, split, validation_split)
        return load_built_in_from_file(before, built_in, data, template, label_words, label_column)
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
