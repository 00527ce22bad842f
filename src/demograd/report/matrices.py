"""Matrices of ICL with each demonstration set against FT on each: as scored, and without the averages of sets."""

from typing import Any

import numpy as np
import pandas as pd

from demograd.report.answer import led_comparisons
from demograd.report.run import ReportedRun
from demograd.report.subject import Variant
from demograd.statistics import MARGIN
from demograd.words import Setting

FEWEST_SETS = 3
"""Demonstration sets of a map: of two, rows and columns without their means are one number four times."""


class MatchingMatrices:
    """The matrices of a run by method and metric."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self._by_subject: dict[tuple[Any, ...], pd.DataFrame] = {}
        if table is None:
            return
        names = ["model", "weights", "initialisation", "task", "labels", "k", "method", "learning_rate", "metric"]
        shown = table[table["step"].isna() & table["setting"].isin([Setting.FT, Setting.ICL_REORDERED])]
        for about, rows in shown.groupby(names, dropna=False, sort=False):
            subject: tuple[Any, ...] = about
            self._by_subject[tuple(None if pd.isna(value) else value for value in subject)] = rows

    def matrix(self, variant: Variant, metric: str) -> pd.DataFrame:
        """Columns y (ICL's set), x (FT's) and value, of FT, or of reordered ICL if the variant has no method."""
        world = (variant.model, variant.weights, variant.initialisation or 0, variant.task, variant.labels, variant.k)
        rows = self._by_subject.get((*world, variant.method, variant.learning_rate, metric))
        if rows is None:
            return pd.DataFrame({"x": [], "y": [], "value": []})
        values = rows["value"].astype(float).where(rows["value"].astype(float).abs() != float("inf"))
        return pd.DataFrame({"x": rows["ft_seed"].astype(int), "y": rows["icl_seed"].astype(int), "value": values})

    def matched(self, variant: Variant, metric: str) -> float | None:
        """The mean of the diagonal."""
        matrix = self.matrix(variant, metric)
        mean = matrix["value"][matrix["x"] == matrix["y"]].mean()
        return None if pd.isna(mean) else float(mean)

    def mismatched(self, variant: Variant, metric: str) -> float | None:
        """The mean off the diagonal."""
        matrix = self.matrix(variant, metric)
        mean = matrix["value"][matrix["x"] != matrix["y"]].mean()
        return None if pd.isna(mean) else float(mean)


def interaction(matrix: pd.DataFrame) -> pd.DataFrame:
    """A matrix (columns x, y, value) without the means of its rows and columns, of which matching says nothing: what is
    left of the diagonal's mean is specificity × (sets − 1) / sets.

    Means over different sets would leave traces of each other. So sets that miss a pair are left out of rows and
    columns alike, those that miss most first; with fewer than `FEWEST_SETS` left there are no rows.
    """
    square = matrix.pivot_table(index="y", columns="x", values="value")
    sets = sorted({*matrix["x"], *matrix["y"]})
    square = square.reindex(index=sets, columns=sets)
    while (missing := square.isna()).to_numpy().any():
        worst = (missing.sum(axis="index") + missing.sum(axis="columns")).idxmax()
        square = square.drop(index=worst, columns=worst)
    if len(square) < FEWEST_SETS:
        return matrix.head(0)
    rows, columns = (np.expand_dims(square.mean(axis=axis).to_numpy(), axis) for axis in (1, 0))
    values = square.to_numpy() - rows - columns + square.to_numpy().mean()
    y, x = (of_pairs.ravel() for of_pairs in np.meshgrid(square.index, square.columns, indexing="ij"))
    return pd.DataFrame({"x": x, "y": y, "value": values.ravel()})


def specificity_margin(run: ReportedRun) -> float:
    """The margin: the share of a similarity that counts as none, of the run's own study where it is recorded."""
    margins = (item.comparison.get("margin") for item in led_comparisons(run))
    return float(next((margin for margin in margins if margin is not None), MARGIN))
