"""The papers' numbers as tidy tables: rows of `tables.yaml`, numbers in CSV files beside it."""

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import pandas as pd
import yaml

from demograd.errors import unknown_name

COLUMNS = [
    "source",
    "table",
    "model",
    "weights",
    "method",
    "task",
    "metric",
    "mean",
    "std",
    "n_seeds",
    "seed",
    "permutation",
    "learning_rate",
    "layer",
]
"""`mean` ± `std` over `n_seeds` demonstration seeds; the last four are null where a number is over all of them."""
_INTEGERS = ["n_seeds", "seed", "permutation", "layer"]


@dataclass(frozen=True)
class PublishedTable:
    """One row of `tables.yaml`."""

    file: str
    source: str
    """As a reader finds it: paper and table."""
    fixed: dict[str, str | int] = field(default_factory=dict)
    """Columns that are the same in all rows."""
    metrics: dict[str, str] = field(default_factory=dict)
    """The file's column → metric; empty: the file has columns metric, mean and std."""


def table_names() -> list[str]:
    """The published tables, as `table` takes them."""
    return list(_tables())


def table(name: str) -> pd.DataFrame:
    """One published table, a number a row, with the columns `COLUMNS`. Nothing is rounded or corrected.

    Metrics have the names of `demograd list metrics` where they are metrics of demograd.

    **Raises:** UserError if there is no such table.
    """
    if name not in _tables():
        raise unknown_name("published table", name, _tables(), "Choose one of these")
    about = _tables()[name]
    with files(__package__).joinpath(about.file).open(encoding="utf-8") as file:
        rows = pd.read_csv(file)
    if about.metrics:
        others = [column for column in rows if column not in about.metrics]
        rows = rows.melt(others, list(about.metrics), "metric", "mean").replace({"metric": about.metrics})
    rows = rows.assign(source=about.source, table=name, **about.fixed).reindex(columns=COLUMNS)
    return rows.astype(dict.fromkeys(_INTEGERS, "Int64"))


@cache
def _tables() -> dict[str, PublishedTable]:
    rows = yaml.safe_load(files(__package__).joinpath("tables.yaml").read_text(encoding="utf-8"))
    return {name: PublishedTable(**row) for name, row in rows.items()}
