"""Resamples: a statistic of each demonstration seed, as it is and on the same resampled queries for every seed.

**Crossed, not nested.** Queries do not depend on the demonstration seed: query 7 is the same query under every seed,
and may be an easy one under all. So a resample draws the queries once, the same for every seed, and the seeds beside
them (Owen 2007, "The pigeonhole bootstrap"). Drawing queries anew within each seed would treat what they share as
noise that averages out over seeds, and the interval would be too narrow. The crossed one errs on the wide side.

For a mean there is something better (`crossed.py`); this is for statistics that are none, such as AUC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

Statistic = Callable[[int, Int[np.ndarray, "resamples queries_of_resample"]], Float[np.ndarray, " resamples"]]
"""(seed, query indices of each resample) → the statistic of that seed's data on those queries; NaN where undefined."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """A statistic of each demonstration seed, as it is and in the same resamples of its queries; NaN: undefined."""

    estimates: Float[np.ndarray, " seeds"]
    """Infinite: it diverged."""
    replicates: Float[np.ndarray, "resamples seeds"]
    n_queries: int
    seed: int


def resample(statistic: Statistic, n_seeds: int, n_queries: int, resamples: int, seed: int) -> Resamples | None:
    """The resamples of a statistic; in those where it is infinite, it is undefined. None with fewer than two queries,
    or without a seed."""
    if n_queries < 2 or not n_seeds:
        return None
    resampled, unchanged = _resampled_queries(n_queries, resamples, seed), np.arange(n_queries)[None]
    estimates = np.array([statistic(s, unchanged).item() for s in range(n_seeds)])
    replicates = np.stack([statistic(s, resampled) for s in range(n_seeds)], axis=-1)
    return Resamples(estimates, np.where(np.isinf(replicates), np.nan, replicates), n_queries, seed)


def times_resampled(
    resampled: Int[np.ndarray, "resamples queries_of_resample"], n_queries: int
) -> Float[np.ndarray, "resamples queries"]:
    """How often each resample has each query."""
    cell = resampled + n_queries * np.arange(len(resampled))[:, None]
    return np.bincount(cell.ravel(), minlength=len(resampled) * n_queries).reshape(-1, n_queries).astype(float)


@lru_cache(maxsize=8)
def resampled_seeds(n_seeds: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples seeds_of_resample"]:
    """The demonstration seeds of each resample, drawn beside its queries."""
    return np.random.default_rng([seed, 1]).integers(n_seeds, size=(resamples, n_seeds))


def nanmean(values: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows"]:
    """`np.nanmean` over the last axis, without its warning where a whole row is missing."""
    present = ~np.isnan(values)
    total, count = np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1).astype(float)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


# Scores of a run share their queries, so they share their resamples: drawn once.
@lru_cache(maxsize=8)
def _resampled_queries(n_queries: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples queries_of_resample"]:
    return np.random.default_rng(seed).integers(n_queries, size=(resamples, n_queries))
