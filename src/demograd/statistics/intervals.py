"""Intervals over demonstration sets and queries, or over queries alone: means by t, other statistics by resampling.

**Few units.** The percentile interval of n units is too narrow by sqrt((n − 1) / n), for the bootstrap divides by n,
and by normal over t quantile, for it takes the spread as known; together a factor of 1.6 at five seeds (Hesterberg
2015, "What teachers should know about the bootstrap"). So each side is stretched by that factor, which keeps its skew:
the part that queries alone account for by the (small) factor of their number, what seeds add to it by that of theirs,
and the two are added as variances are. Where what matters is how seeds and queries combine, the crossed bootstrap
counts that about three times, and the interval is up to twice as wide as it need be.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit
from torch import Tensor

from demograd.statistics.bootstrap import Resamples, Statistic, nanmean, resample, resampled_seeds
from demograd.statistics.crossed import mean_of_parts
from demograd.statistics.estimated_mean import EstimatedMean
from demograd.statistics.parts import parts_of_mean
from demograd.statistics.verdict import Interval, Over


@dataclass(frozen=True)
class ResampledInterval(Interval):
    """An interval, and all that is needed to draw it again."""

    n_queries: int
    resamples: int
    seed: int


def interval_over_demonstrations(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95
) -> Interval | None:
    """Interval of the mean over queries, then layers, then demonstration seeds, by crossed mean squares.

    `values` is `stack_seeds(…)`, or one value per seed and query; NaN is missing, and so is a query that a seed does
    not select. A seed is one draw of everything that varies between runs: demonstrations, and initialisation if there
    is one. None with fewer than two seeds, or two queries, that have a value, or where one is infinite: it diverged.
    """
    return _of_mean(values, "demonstrations", level)


def conditional_interval(values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95) -> Interval | None:
    """The same conditional on the demonstrations (of one seed or more): queries alone vary.

    It says nothing about other demonstrations, and its label says that. None with fewer than two queries, or where a
    value is infinite.
    """
    return _of_mean(values, "queries", level)


def conditional_intervals(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95
) -> list[Interval | None]:
    """`conditional_interval` of each demonstration seed alone."""
    return [conditional_interval(of_seed[None], level=level) for of_seed in values]


def mean_over_seeds(
    values: Float[Tensor, "seeds queries *layers"], over: Over = "demonstrations"
) -> EstimatedMean | None:
    """The mean of which these are the intervals; None as for these."""
    return None if bool(values.isinf().any()) else mean_of_parts(parts_of_mean(values), over)


def statistic_interval(
    statistic: Statistic,
    n_seeds: int,
    n_queries: int,
    *,
    over: Over = "demonstrations",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> ResampledInterval | None:
    """Interval of any statistic of the queries (AUC, say), averaged over demonstration seeds.

    Resamples where the statistic is undefined are left out. None as for the other intervals.
    """
    return _interval(resample(statistic, n_seeds, n_queries, resamples, seed), over, level)


def statistic_intervals(
    statistic: Statistic,
    n_seeds: int,
    n_queries: int,
    *,
    over: Over = "demonstrations",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[ResampledInterval | None, list[ResampledInterval | None]]:
    """`statistic_interval`, and that of each demonstration seed alone over its queries, from the same resamples."""
    resampled = resample(statistic, n_seeds, n_queries, resamples, seed)
    return _interval(resampled, over, level), _intervals_by_seed(resampled, n_seeds, level)


@dataclass(frozen=True, eq=False)
class _ResampledMean:
    """A statistic averaged over demonstration seeds, as it is and in every resample."""

    estimate: float
    of_queries: Float[np.ndarray, " resamples"]
    """With the seeds as they are; NaN where undefined."""
    crossed: Float[np.ndarray, " resamples"] | None
    """With the seeds drawn beside the queries; None where the interval is conditional on these demonstrations."""
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

    @property
    def _of_queries(self) -> Float[np.ndarray, " defined"]:
        return _in_order(self.of_queries)

    @property
    def _crossed(self) -> Float[np.ndarray, " defined"] | None:
        return None if self.crossed is None else _in_order(self.crossed)


def _of_mean(values: Float[Tensor, "seeds queries *layers"], over: Over, level: float) -> Interval | None:
    mean = mean_over_seeds(values, over)
    return None if mean is None else mean.interval(level)


def _resampled_mean(resampled: Resamples | None, over: Over) -> _ResampledMean | None:
    """The mean over the seeds that have a value; None where these are too few (over demonstrations two, else one), a
    seed's value diverged, or no resample has one."""
    if resampled is None or np.isinf(resampled.estimates).any():
        return None
    has_value = np.flatnonzero(~np.isnan(resampled.estimates))
    if len(has_value) < (2 if over == "demonstrations" else 1):
        return None
    replicates, crossed = resampled.replicates[:, has_value], None
    if over == "demonstrations":
        seeds = resampled_seeds(len(has_value), len(replicates), resampled.seed)
        crossed = nanmean(np.take_along_axis(replicates, seeds, axis=-1))
    of_queries, estimate = nanmean(replicates), float(resampled.estimates[has_value].mean())
    if any(means is not None and np.isnan(means).all() for means in (of_queries, crossed)):
        return None
    return _ResampledMean(estimate, of_queries, crossed, len(has_value), resampled.n_queries, resampled.seed)


def _interval(resampled: Resamples | None, over: Over, level: float) -> ResampledInterval | None:
    mean = _resampled_mean(resampled, over)
    return None if mean is None else mean.interval(level)


def _intervals_by_seed(resampled: Resamples | None, n_seeds: int, level: float) -> list[ResampledInterval | None]:
    """The interval of each seed alone; None for a seed that has no value."""
    if resampled is None:
        return [None] * n_seeds
    return [
        _ResampledMean(float(estimate), of_seed, None, 1, resampled.n_queries, resampled.seed).interval(level)
        if np.isfinite(estimate) and not np.isnan(of_seed).all()
        else None
        for estimate, of_seed in zip(resampled.estimates, resampled.replicates.T, strict=True)
    ]


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


def _stretch(n: int, level: float) -> float:
    tail = (1 - level) / 2
    return float(sqrt(n / (n - 1)) * stdtrit(n - 1, 1 - tail) / ndtri(1 - tail))  # quantiles of t and of the normal
