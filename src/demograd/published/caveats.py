"""What is known to be wrong with published numbers: rows of `caveats.yaml`, each with the numbers that it concerns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


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
