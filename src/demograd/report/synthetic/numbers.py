"""The numbers of a synthetic run by what they are about (docs/run-folder.md, "A synthetic run")."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import floor, log10
from typing import Any, NamedTuple

import pandas as pd

from demograd.metrics import SEEDS_TO_DECIDE
from demograd.report.cell import Cell, cell
from demograd.words import Setting

NETWORK, CONSTRUCTION, REFERENCE = Setting.TF, Setting.CONSTRUCTION, Setting.REFERENCE
"""The settings: a small trained transformer, weights that theory gives, and an algorithm without weights."""
_DIGITS = 3
"""That count, at least: a claim may turn on 2 % of a loss."""


class Subject(NamedTuple):
    """Whose number it is."""

    world: str
    """Empty: a construction's own, which holds in any world."""
    network: str
    """Empty: not a network's."""
    reference: str
    """What a network is held against; of an algorithm, its name. Empty: the network alone."""


def synthetic_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows over all training seeds; without those of a language model beside them, and those of one layer."""
    of_synthetic = results["setting"].isin([NETWORK, CONSTRUCTION, REFERENCE])
    return results[of_synthetic & results[["seed", "layer", "head"]].isna().all(axis=1)]


def of_context(rows: pd.DataFrame, context: int) -> pd.DataFrame:
    """The rows with as many examples as the networks were trained on, and those that have no number of examples."""
    return rows[rows["k"].isna() | (rows["k"] == context)]


def cells(rows: pd.DataFrame, metric: str, setting: str = NETWORK) -> dict[Subject, Cell]:
    """One number of everything that has it, in the order of the results; not those at some `at` or step."""
    whole = rows[(rows["metric"] == metric) & (rows["setting"] == setting) & rows[["at", "step"]].isna().all(axis=1)]
    return {subject(row): _cell(row) for row in whole.to_dict("records")}


def by_seed(results: pd.DataFrame, metric: str) -> dict[Subject, list[float]]:
    """A number of each training seed, of every network that has it; without those that are missing."""
    found: dict[Subject, list[float]] = {}
    of_seeds = results[(results["metric"] == metric) & (results["setting"] == NETWORK) & results["seed"].notna()]
    for row in of_seeds[of_seeds[["at", "step"]].isna().all(axis=1) & of_seeds["value"].notna()].to_dict("records"):
        found.setdefault(subject(row), []).append(float(row["value"]))
    return found


def cells_at(rows: pd.DataFrame, metric: str, setting: str = NETWORK) -> dict[Subject, dict[float, Cell]]:
    """One number of everything, at each `at`."""
    found: dict[Subject, dict[float, Cell]] = {}
    of_metric = rows[(rows["metric"] == metric) & (rows["setting"] == setting) & rows["at"].notna()]
    for row in of_metric.to_dict("records"):
        found.setdefault(subject(row), {})[float(row["at"])] = _cell(row)
    return found


def subject(row: Mapping[Any, Any]) -> Subject:
    """Whose number a row of the results is."""
    names = (row[column] for column in ("task", "model", "method"))
    return Subject(*("" if pd.isna(name) else str(name) for name in names))


def worlds_of(subjects: Iterable[Subject]) -> list[str]:
    """In the order in which they come."""
    return list(dict.fromkeys(each.world for each in subjects))


def undecidable(cell: Cell) -> str:
    """Why this number can decide nothing, as a clause; empty if it can."""
    if cell.value is None:
        return cell.text
    if cell.n_seeds < SEEDS_TO_DECIDE:
        return f"fewer than {SEEDS_TO_DECIDE} training seeds ({cell.n_seeds})"
    if cell.interval is None or cell.conditional:
        return "there is no interval over training seeds"
    return ""


def seeds(n: int) -> str:
    """`5 training seeds`."""
    return f"{n} training seed{'s' * (n != 1)}"


def written(cell: Cell) -> str:
    """`1.003 [0.998, 1.008]`, or why there is no number."""
    conditional = ", over test sequences alone" * cell.marked
    return f"{cell.value_text} {cell.bounds}{conditional}".strip() if cell.value is not None else cell.text


def _cell(row: Mapping[Any, Any]) -> Cell:
    found = cell(row)
    if not found.value:
        return found
    return replace(found, places=min(max(3, _DIGITS - 1 - floor(log10(abs(found.value)))), 7))
