"""Scores query by query: of those that are means over queries, what `queries.parquet` holds of each query."""

from collections.abc import Callable, Mapping
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy.special import logsumexp
from torch import Tensor

from demograd.report.run import ReportedRun
from demograd.report.subject import Variant

OF_VARIANT = (
    "model",
    "weights",
    "initialisation",
    "task",
    "labels",
    "k",
    "method",
    "method_options",
    "learning_rate",
)
"""Columns of `queries.parquet` and `matching.parquet` that tell which variant a row is of."""
_ROUNDING = 1e-5
"""How far a mean over queries may be from the value in the results, which was computed of the same float32 numbers."""


class QueryScores:
    """The values of one run by set and query."""

    def __init__(self, run: ReportedRun) -> None:
        self.run = run

    def values(
        self, owner: Variant, metric: str, setting: str, by_set: Mapping[int, float]
    ) -> Float[Tensor, "sets queries"] | None:
        """A score's values, in the order of `by_set`: seed → its value in the results.

        None where a query has no value, or the means over queries are not the values in the results: then the score is
        another mean than this, and is not to be tested as if it were.
        """
        rows, values_of = self._rows.get((setting, *map(_or_zero, _about(owner)))), _VALUES.get(metric)
        if rows is None or values_of is None or not {*by_set} <= {*rows}:
            return None
        values = [values_of(rows[seed].sort_values("query")) for seed in by_set]
        if len({*map(len, values)}) != 1:
            return None
        means = [of_set.mean() for of_set in values]
        is_same = np.allclose(means, [*by_set.values()], rtol=_ROUNDING, atol=_ROUNDING)  # not where one is NaN
        return torch.from_numpy(np.stack(values)) if is_same else None

    @cached_property
    def _rows(self) -> dict[tuple[Any, ...], dict[int, pd.DataFrame]]:
        """Setting and variant → seed → rows."""
        rows: dict[tuple[Any, ...], dict[int, pd.DataFrame]] = {}
        if self.run.queries is not None:
            columns = ["setting", *OF_VARIANT, "seed"]
            with_sets = self.run.queries.dropna(subset="seed")
            for group, of_set in with_sets.groupby(columns, dropna=False, sort=False):
                *about, seed = map(_or_zero, group)
                rows.setdefault(tuple(about), {})[seed] = of_set
        return rows


def _about(owner: Variant) -> list[Any]:
    return [getattr(owner, name) for name in OF_VARIANT]


def _or_zero(value: Any) -> Any:
    """The value; 0 for what is missing, as trained weights have the initialisation 0."""
    return 0 if pd.isna(value) else value


def _of_log_probs(
    score: Callable[[Float[np.ndarray, "queries classes"], Bool[np.ndarray, "queries classes"]], np.ndarray],
) -> Callable[[pd.DataFrame], Float[np.ndarray, " queries"]]:
    """Of rows, a score of log-probabilities and of which class is gold; NaN where one of them is missing."""

    def values(rows: pd.DataFrame) -> Float[np.ndarray, " queries"]:
        if (rows["status"] != "ok").any():
            return np.full(len(rows), nan)
        log_probs = np.stack([np.asarray(of_query, dtype=float) for of_query in rows["label_log_probs"]])
        is_gold = np.stack(
            [np.asarray(words) == gold for words, gold in zip(rows["label_words"], rows["gold"], strict=True)]
        )
        return score(log_probs, is_gold) if np.isfinite(log_probs).all() else np.full(len(rows), nan)

    return values


def _credit(log_probs: np.ndarray, is_gold: np.ndarray) -> np.ndarray:
    """1/m where gold is one of m classes that tie for the highest score."""
    is_top = log_probs == log_probs.max(axis=-1, keepdims=True)
    return (is_top & is_gold).any(axis=-1) / is_top.sum(axis=-1)


def _of_gold(log_probs: np.ndarray, is_gold: np.ndarray) -> np.ndarray:
    return np.where(is_gold, log_probs, 0.0).sum(axis=-1)


_VALUES: dict[str, Callable[[pd.DataFrame], Float[np.ndarray, " queries"]]] = {
    "sim_aou": lambda rows: rows["sim_aou"].to_numpy(float),
    "accuracy": _of_log_probs(_credit),
    "label_log_likelihood": _of_log_probs(_of_gold),
    "normalised_label_log_likelihood": _of_log_probs(lambda p, is_gold: _of_gold(p, is_gold) - logsumexp(p, axis=-1)),
    "format": _of_log_probs(lambda p, _: logsumexp(p, axis=-1)),
}
"""Metric → its values of the rows of one set."""
