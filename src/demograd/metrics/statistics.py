"""Intervals by resampling: over demonstration sets and queries, or over queries alone (how: `resampling.py`)."""

from jaxtyping import Float
from torch import Tensor

from demograd.metrics.interval import Over, ResampledInterval
from demograd.metrics.resampling import Drawn, Statistic, by_layer, drawn, drawn_means


def interval_over_demonstrations(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> ResampledInterval | None:
    """Interval of the mean over queries, then layers, then demonstration seeds.

    `values` is `stack_seeds(…)`, or one value per seed and query; NaN is missing, and so is a query that a seed does
    not select. A seed is one draw of everything that varies between runs: demonstrations, and initialisation if there
    is one. None with fewer than two seeds, or two queries, that have a value, or where one is infinite: it diverged.
    """
    return _averaged(drawn_means(values, resamples, seed), "demonstrations", level)


def conditional_interval(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> ResampledInterval | None:
    """The same with the demonstrations (one seed or more) taken as given: queries alone are resampled.

    It says nothing about other demonstrations, and its label says that. None with fewer than two queries, or where a
    value is infinite.
    """
    return _averaged(drawn_means(values, resamples, seed), "queries", level)


def conditional_intervals(
    values: Float[Tensor, "seeds queries *layers"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> list[ResampledInterval | None]:
    """`conditional_interval` of each demonstration seed alone."""
    has_value = ~by_layer(values).isnan().all(dim=-1)
    if bool((has_value != has_value[:1]).any()):  # of other queries, and so in other resamples
        return [conditional_interval(one[None], level=level, resamples=resamples, seed=seed) for one in values]
    return _of_each(drawn_means(values, resamples, seed), len(values), level)


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
    return _averaged(drawn(statistic, n_seeds, n_queries, resamples, seed), over, level)


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
    found = drawn(statistic, n_seeds, n_queries, resamples, seed)
    return _averaged(found, over, level), _of_each(found, n_seeds, level)


def _averaged(found: Drawn | None, over: Over, level: float) -> ResampledInterval | None:
    averaged = None if found is None else found.averaged(over)
    return None if averaged is None else averaged.interval(level)


def _of_each(found: Drawn | None, n_seeds: int, level: float) -> list[ResampledInterval | None]:
    each = [None] * n_seeds if found is None else found.of_each()
    return [None if one is None else one.interval(level) for one in each]
