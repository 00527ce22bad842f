"""The papers' numbers as tidy tables (`tables.yaml`, and CSV files), and what is wrong with them (`caveats.yaml`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

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


@dataclass(frozen=True)
class Caveat:
    """One row of `caveats.yaml`."""

    name: str
    says: str
    """One sentence for a reader."""
    concerns: tuple[Mapping[str, list[Any]], ...]
    """Filters, column → values: a number is concerned if it fits every column of one of them."""
    read_as: Mapping[str, str] = field(default_factory=dict)
    """Column → what such a number most probably is of, where its label says something else."""

    def applies_to(self, row: Mapping[Any, Any]) -> bool:
        """Whether this caveat concerns a row of a published table (or a measured one, for what has no table)."""
        return any(
            all(column in row and row[column] in values for column, values in fits.items()) for fits in self.concerns
        )


@cache
def caveats() -> tuple[Caveat, ...]:
    """All of them."""
    rows = yaml.safe_load(files(__package__).joinpath("caveats.yaml").read_text(encoding="utf-8"))
    return tuple(Caveat(name, **row | {"concerns": tuple(row["concerns"])}) for name, row in rows.items())


def caveats_of(row: Mapping[Any, Any]) -> tuple[Caveat, ...]:
    """Those that concern one number, given its columns (`table`, `weights`, `metric`, `task`, `permutation`, …)."""
    return tuple(caveat for caveat in caveats() if caveat.applies_to(row))
