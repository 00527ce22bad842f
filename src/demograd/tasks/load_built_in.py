"""A built-in task, with its data from the installed package, the hub, or a file of the user's."""

from collections.abc import Mapping
from functools import lru_cache

from demograd.errors import UserError, unknown_name
from demograd.tasks.builtin import BuiltIn
from demograd.tasks.cells import label_key
from demograd.tasks.compose import Source, compose
from demograd.tasks.hub import read_hub
from demograd.tasks.label_words import GivenLabelWords, LabelWords, checked_words, label_words_of
from demograd.tasks.splits import Data
from demograd.tasks.staicc import read_staicc
from demograd.tasks.table import label_keys
from demograd.tasks.task import Task

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
