"""How many rows the splits of a built-in task have, as Deutch 2024 counted them in Table 3."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from demograd.errors import UserError
from demograd.tasks.encoding import encode
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.sources.cells import text_of
from demograd.tasks.sources.hub import read_hub
from demograd.tasks.sources.staicc import read_staicc
from demograd.tasks.sources.table import DataTable
from demograd.tasks.template import template_columns
from demograd.tasks.tokenizer import Tokenizer

COUNTED = 2000
"""Most texts of the training split whose tokens are counted: the first."""


@dataclass(frozen=True)
class SplitSizes:
    """The quantities of the published table, counted in a source."""

    source: str
    training: int
    """Rows of the split train, or of the only table."""
    validation: int | None
    """Rows of the split test, which the paper calls validation; None: the source has no splits."""
    mean_tokens: float
    """Tokens of a text of the training split, without template: of a task with two texts, the first."""
    mean_characters: float
    """Characters of the string of its token ids with spaces between, which is what the paper counted."""
    no_hub: str = ""
    """Why the package was counted, which has one table without splits; empty: the hub's splits were."""


def split_sizes(name: str, tokenizer: Tokenizer) -> SplitSizes:
    """Rows of the hub's splits; where no hub can be reached, those of the installed package, and why.

    **Raises:** UserError if the hub does not have the data, and the package has no copy.

    **Source:** the notebook `analysis_datasets` of the code released with Deutch 2024: rows of train and test, and the
    length of what GPT-2's encoder gives for a text, a string.
    """
    row = built_in_tasks()[name]
    first = template_columns(row.template)[0]
    try:
        data = read_hub(replace(row.hub, train="train", validation="test"))
    except UserError as error:
        if row.staicc is None:
            raise
        return _counted(tokenizer, read_staicc(row.staicc), "text", None, error.problem)
    return _counted(tokenizer, data.table, row.hub.columns.get(first, first), data.validation)


def _counted(
    tokenizer: Tokenizer, table: DataTable, column: str, test: DataTable | None, no_hub: str = ""
) -> SplitSizes:
    cells = table.column(column, "a text")
    tokens = encode(tokenizer, [text_of(cell) for cell in cells[:COUNTED]])
    return SplitSizes(
        source=table.name,
        training=len(cells),
        validation=None if test is None else len(test.column(column, "a text")),
        mean_tokens=fmean(map(len, tokens)),
        mean_characters=fmean(map(_characters, tokens)),
        no_hub=no_hub,
    )


def _characters(tokens: Sequence[int]) -> int:
    return len(" ".join(map(str, tokens)))
