"""Intervals by resampling: over demonstration sets and queries, or over queries alone (how: `resampling.py`)."""

from jaxtyping import Float
from torch import Tensor

from demograd.metrics.interval import Over, ResampledInterval
from demograd.metrics.resampling import Statistic, resampled, resampled_mean


def interval_over_demonstrations(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> ResampledInterval | None:
    """Interval of the mean over queries, then layers, then demonstration seeds.

    `values` is `stack_seeds(…)`, or one value per seed and query; NaN is missing, and so is a query that a seed does
    not select. A seed is one draw of everything that varies between runs: demonstrations, and initialisation if there
    is one. None with fewer than two seeds, or two queries, that have a value.
    """
    drawn = resampled_mean(values, "demonstrations", resamples, seed)
    return None if drawn is None else drawn.interval(level)


def conditional_interval(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> ResampledInterval | None:
    """The same with the demonstrations (one seed or more) taken as given: queries alone are resampled.

    It says nothing about other demonstrations, and its label says that. None with fewer than two queries.
    """
    drawn = resampled_mean(values, "queries", resamples, seed)
    return None if drawn is None else drawn.interval(level)


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
    drawn = resampled(statistic, n_seeds, n_queries, over, resamples, seed)
    return None if drawn is None else drawn.interval(level)
