"""A statistic in every resample, drawn once: it gives the interval of any level, and so a p-value.

**Crossed, not nested.** Queries do not depend on the demonstration seed: query 7 is the same query under every seed,
and may be an easy one under all. So a resample draws the queries once, the same for every seed, and the seeds beside
them (Owen 2007, "The pigeonhole bootstrap"). Drawing queries anew within each seed would treat what they share as
noise that averages out over seeds, and the interval would be too narrow. The crossed one errs on the wide side.

**Few units.** The percentile interval of n units is too narrow by sqrt((n − 1) / n), for the bootstrap divides by n,
and by normal over t quantile, for it takes the spread as known; together a factor of 1.6 at five seeds (Hesterberg
2015, "What teachers should know about the bootstrap"). So each side is stretched by that factor, which keeps its skew:
the part that queries alone account for by the (small) factor of their number, what seeds add to it by that of theirs,
and the two are added as variances are. For a mean of normal seed effects this is the t interval; where what matters is
how seeds and queries combine, the crossed bootstrap counts that about three times, and the interval is up to twice as
wide as it need be. It errs on the side of deciding nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod, sqrt

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit
from torch import Tensor

from demograd.metrics.interval import Over, ResampledInterval

Statistic = Callable[[int, Int[np.ndarray, "resamples chosen"]], Float[np.ndarray, " resamples"]]
"""(seed, query indices of each resample) → the statistic of that seed's data on those queries; NaN where undefined."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """A statistic averaged over demonstration seeds, as it is and in every resample."""

    estimate: float
    of_queries: Float[np.ndarray, " resamples"]
    """With the seeds as they are; NaN where undefined."""
    crossed: Float[np.ndarray, " resamples"] | None
    """With the seeds drawn beside the queries; None where the demonstrations are taken as given."""
    n_seeds: int
    """That have a value."""
    n_queries: int
    seed: int

    def interval(self, level: float) -> ResampledInterval:
        """The stretched percentile interval of this level."""
        low, high = _distances(self.estimate, self._of_queries, level) * _stretch(self.n_queries, level)
        over: Over = "queries"
        if self._crossed is not None:
            over = "demonstrations"
            of_queries, of_both = np.array([low, high]), _distances(self.estimate, self._crossed, level)
            of_seeds = np.sqrt(np.maximum(of_both**2 - of_queries**2, 0.0)) * _stretch(self.n_seeds, level)
            low, high = np.hypot(of_queries, of_seeds)
        low, high = float(self.estimate - low), float(self.estimate + high)
        return ResampledInterval(low, high, level, over, self.n_seeds, self.n_queries, len(self.of_queries), self.seed)

    # a p-value asks for the intervals of many levels: sorted once
    @cached_property
    def _of_queries(self) -> Float[np.ndarray, " defined"]:
        return _in_order(self.of_queries)

    @cached_property
    def _crossed(self) -> Float[np.ndarray, " defined"] | None:
        return None if self.crossed is None else _in_order(self.crossed)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A statistic of each demonstration seed, as it is and in the same resamples of its queries; NaN: undefined."""

    estimates: Float[np.ndarray, " seeds"]
    """Infinite: it diverged."""
    replicates: Float[np.ndarray, "resamples seeds"]
    n_queries: int
    seed: int

    def averaged(self, over: Over) -> Resampled | None:
        """Over the seeds that have a value; None where these are too few (over demonstrations two, else one), a seed's
        value diverged, or no resample has one."""
        if np.isinf(self.estimates).any():
            return None
        has_value = np.flatnonzero(~np.isnan(self.estimates))
        if len(has_value) < (2 if over == "demonstrations" else 1):
            return None
        replicates, crossed = self.replicates[:, has_value], None
        if over == "demonstrations":
            drawn_seeds = _resampled_seeds(len(has_value), len(replicates), self.seed)
            crossed = _nanmean(np.take_along_axis(replicates, drawn_seeds, axis=-1))
        of_queries, estimate = _nanmean(replicates), float(self.estimates[has_value].mean())
        if any(resamples is not None and np.isnan(resamples).all() for resamples in (of_queries, crossed)):
            return None
        return Resampled(estimate, of_queries, crossed, len(has_value), self.n_queries, self.seed)

    def of_each(self) -> list[Resampled | None]:
        """Each seed alone; None for one that has no value."""
        return [
            Resampled(float(estimate), of_seed, None, 1, self.n_queries, self.seed)
            if np.isfinite(estimate) and not np.isnan(of_seed).all()
            else None
            for estimate, of_seed in zip(self.estimates, self.replicates.T, strict=True)
        ]


def drawn(statistic: Statistic, n_seeds: int, n_queries: int, resamples: int, seed: int) -> Drawn | None:
    """Draw the resamples; in those where the statistic is infinite, it is undefined. None with fewer than two queries,
    or without a seed."""
    if n_queries < 2 or not n_seeds:
        return None
    chosen, everything = _resampled_queries(n_queries, resamples, seed), np.arange(n_queries)[None]
    estimates = np.array([statistic(s, everything).item() for s in range(n_seeds)])
    replicates = np.stack([statistic(s, chosen) for s in range(n_seeds)], axis=-1)
    return Drawn(estimates, np.where(np.isinf(replicates), np.nan, replicates), n_queries, seed)


def drawn_means(values: Float[Tensor, "seeds queries *layers"], resamples: int, seed: int) -> Drawn | None:
    """`drawn` of the mean over queries, then layers: of `aggregate`, as a matrix product. A seed of which a value is
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
    return Drawn(np.where(diverged, np.inf, estimates[0]), replicates, n_queries, seed)


def by_layer(values: Float[Tensor, "seeds queries *layers"]) -> Float[Tensor, "seeds queries flat"]:
    """With one dimension of layers, whatever they are; also where there is no value."""
    return values.reshape(*values.shape[:2], prod(values.shape[2:]))


def _means(
    times: Float[np.ndarray, "resamples queries"], x: Float[np.ndarray, "seeds queries layers"]
) -> Float[np.ndarray, "resamples seeds"]:
    """Over queries, each so many times, and then layers, of what is there."""
    there = ~np.isnan(x)
    if there.all():
        return (np.tensordot(times, x, (1, 1)) / times.sum(axis=1)[:, None, None]).mean(axis=-1)
    total, count = (np.tensordot(times, of, (1, 1)) for of in (np.where(there, x, 0.0), there.astype(float)))
    return _nanmean(_ratio(total, count))


# Scores of a run share their queries, so they share their resamples: drawn once.
@lru_cache(maxsize=8)
def _resampled_queries(n_queries: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples chosen"]:
    return np.random.default_rng(seed).integers(n_queries, size=(resamples, n_queries))


@lru_cache(maxsize=8)
def _times_resampled(n_queries: int, resamples: int, seed: int) -> Float[np.ndarray, "resamples queries"]:
    """How often each resample has each query."""
    return times_chosen(_resampled_queries(n_queries, resamples, seed), n_queries)


@lru_cache(maxsize=8)
def _resampled_seeds(n_seeds: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples chosen"]:
    return np.random.default_rng([seed, 1]).integers(n_seeds, size=(resamples, n_seeds))


def times_chosen(chosen: Int[np.ndarray, "resamples chosen"], n_queries: int) -> Float[np.ndarray, "resamples queries"]:
    """How often each row has each query."""
    cell = chosen + n_queries * np.arange(len(chosen))[:, None]
    return np.bincount(cell.ravel(), minlength=len(chosen) * n_queries).reshape(-1, n_queries).astype(float)


def _nanmean(values: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows"]:
    """`np.nanmean` over the last axis, without its warning where a whole row is missing."""
    there = ~np.isnan(values)
    if there.all():
        return values.mean(axis=-1)
    return _ratio(np.where(there, values, 0.0).sum(axis=-1), there.sum(axis=-1).astype(float))


def _ratio(total: Float[np.ndarray, "*shape"], count: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _in_order(replicates: Float[np.ndarray, " resamples"]) -> Float[np.ndarray, " defined"]:
    return np.sort(replicates[~np.isnan(replicates)])


def _distances(estimate: float, ordered: Float[np.ndarray, " defined"], level: float) -> Float[np.ndarray, "2"]:
    """How far the percentile interval reaches below and above the estimate; never past it on the wrong side, where a
    biased statistic could leave its own estimate outside the percentiles."""
    tail = (1 - level) / 2
    low, high = _quantile(ordered, tail), _quantile(ordered, 1 - tail)
    return np.array([max(estimate - low, 0.0), max(high - estimate, 0.0)])


def _quantile(ordered: Float[np.ndarray, " values"], share: float) -> float:
    """`np.quantile` of values that are in order, which it would sort each time."""
    whole, rest = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(whole)], ordered[min(int(whole) + 1, len(ordered) - 1)]
    return float(low + rest * (high - low))


@lru_cache(maxsize=256)
def _stretch(n: int, level: float) -> float:
    tail = (1 - level) / 2
    return float(sqrt(n / (n - 1)) * stdtrit(n - 1, 1 - tail) / ndtri(1 - tail))  # quantiles of t and of the normal
