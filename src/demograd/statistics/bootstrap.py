"""Resamples: a statistic of each demonstration seed, as it is and on the same resampled queries for every seed.

**Crossed, not nested.** Queries do not depend on the demonstration seed: query 7 is the same query under every seed,
and may be an easy one under all. So a resample draws the queries once, the same for every seed, and the seeds beside
them (Owen 2007, "The pigeonhole bootstrap"). Drawing queries anew within each seed would treat what they share as
noise that averages out over seeds, and the interval would be too narrow. The crossed one errs on the wide side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

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


def resample_means(values: Float[Tensor, "seeds queries *layers"], resamples: int, seed: int) -> Resamples | None:
    """`resample` of the mean over queries, then layers: of `aggregate`, as a matrix product. A seed of which a value is
    infinite diverged."""
    x = by_layer(values).double().numpy()
    x = x[:, ~np.isnan(x).all(axis=(0, 2))]  # a query without any value is no unit to resample
    if (n_queries := x.shape[1]) < 2:
        return None
    diverged = np.isinf(x).any(axis=(1, 2))
    x = np.where(diverged[:, None, None], np.nan, x)  # 0 · ∞ would be no number
    estimates, replicates = (
        _means(times, x) for times in (np.ones((1, n_queries)), _times_resampled(n_queries, resamples, seed))
    )
    return Resamples(np.where(diverged, np.inf, estimates[0]), replicates, n_queries, seed)


def resample_ratios(
    above: Float[np.ndarray, "seeds queries"], below: Float[np.ndarray, " queries"], resamples: int, seed: int
) -> Resamples:
    """`resample` of the mean of `above` over that of `below` on the same queries, as matrix products."""
    n_queries = above.shape[1]
    times = _times_resampled(n_queries, resamples, seed)
    replicates = (times @ above.T) / (times @ below)[:, None]
    return Resamples(above.mean(axis=1) / below.mean(), replicates, n_queries, seed)


def by_layer(values: Float[Tensor, "seeds queries *layers"]) -> Float[Tensor, "seeds queries flat"]:
    """With one dimension of layers, whatever they are; also where there is no value."""
    return values.reshape(*values.shape[:2], prod(values.shape[2:]))


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
    if present.all():
        return values.mean(axis=-1)
    return _ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1).astype(float))


def _means(
    times: Float[np.ndarray, "resamples queries"], x: Float[np.ndarray, "seeds queries layers"]
) -> Float[np.ndarray, "resamples seeds"]:
    """The mean over queries, each so many times, and then layers, of what is present."""
    present = ~np.isnan(x)
    if present.all():
        return (np.tensordot(times, x, (1, 1)) / times.sum(axis=1)[:, None, None]).mean(axis=-1)
    total, count = (np.tensordot(times, part, (1, 1)) for part in (np.where(present, x, 0.0), present.astype(float)))
    return nanmean(_ratio(total, count))


# Scores of a run share their queries, so they share their resamples: drawn once.
@lru_cache(maxsize=8)
def _resampled_queries(n_queries: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples queries_of_resample"]:
    return np.random.default_rng(seed).integers(n_queries, size=(resamples, n_queries))


@lru_cache(maxsize=8)
def _times_resampled(n_queries: int, resamples: int, seed: int) -> Float[np.ndarray, "resamples queries"]:
    return times_resampled(_resampled_queries(n_queries, resamples, seed), n_queries)


def _ratio(total: Float[np.ndarray, "*shape"], count: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
