"""From a name or a path to a task."""

from dataclasses import replace
from pathlib import Path

from demograd.errors import UserError, unknown_name
from demograd.paths import is_there
from demograd.tasks.builtin import built_in_tasks
from demograd.tasks.compose import Source, compose
from demograd.tasks.files import read_file
from demograd.tasks.hub import hub_source, read_hub
from demograd.tasks.label_words import GivenLabelWords, label_words_of, missing_label_words
from demograd.tasks.load_built_in import load_built_in, load_built_in_from_file
from demograd.tasks.task import Task
from demograd.tasks.template import check_ending


def load_task(
    name_or_path: str | Path,
    *,
    template: str | None = None,
    label_words: GivenLabelWords | None = None,
    label_column: str = "label",
    validation_path: str | Path | None = None,
    source: str | None = None,
    answer_prefix: str = " ",
) -> Task:
    """A built-in task by name, a hub data set as "hub:owner/name" or "hub:owner/name/config", or a file of your own.

    "cb=my.jsonl" is the built-in task's template and words on the examples of a file: its columns are called as the
    template's, its labels as on the hub or as the label words.

    `template` ("Review: {text} Sentiment:") and `label_words` are needed for files and hub data sets, and replace those
    of a built-in task. `label_words` maps each value of `label_column` to a word, or lists the words in class order
    (the column then holds class numbers from 0, or the words). `validation_path` is a second file, from which queries
    are drawn; without it they come from a fixed part of the first. `source` says where a built-in task's data come
    from: the installed package ("staicc", the default where it has the task) or the "hub". `answer_prefix` stands
    between text and answer: "" in languages without spaces, or behind a template that ends in a line break.

    Texts lose the white space around them. Raises UserError for everything that cannot work.
    """
    if template is not None:
        check_ending(template, answer_prefix)
    task = _found(name_or_path, template, label_words, label_column, validation_path, source)
    return task if answer_prefix == task.answer_prefix else replace(task, answer_prefix=answer_prefix)


def _found(
    name_or_path: str | Path,
    template: str | None,
    label_words: GivenLabelWords | None,
    label_column: str,
    validation_path: str | Path | None,
    source: str | None,
) -> Task:
    name = str(name_or_path)
    before, equals, path = name.partition("=")
    built_in = built_in_tasks().get(before)
    on_file = built_in is not None and bool(equals)
    if on_file and not path:
        raise UserError(f"The task {name!r}", f"a file behind {name}", f"Name one, as in {name}{before}.csv")
    is_file = on_file or (built_in is None and not name.startswith("hub:"))
    if validation_path is not None and not is_file:
        raise UserError(f"validation_path for the task {name!r}", "a file as the task", "Leave validation_path out")
    if built_in is not None and not on_file:
        if label_column != "label":
            raise UserError(f"label_column for the built-in task {name!r}", "a file or hub data set", "Leave it out")
        return load_built_in(name, built_in, template, label_words, source)
    if source is not None:
        raise UserError(f"source for the task {name!r}", "a built-in task", "Leave source out")
    if built_in is not None:
        return load_built_in_from_file(before, built_in, path, validation_path, template, label_words, label_column)
    if not is_file:
        table, validation = read_hub(hub_source(name, label_column))
    elif Path(name).suffix or is_there(Path(name)):
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
    return compose(Path(name).stem if is_file else name, template, words, Source(table, validation, label_column))
