"""Is a paired difference other than zero, and how large is it? One test, from the same resamples as its interval."""

from collections.abc import Callable
from dataclasses import dataclass
from math import copysign, exp, inf, lgamma, nan, sqrt

from jaxtyping import Float
from torch import Tensor

from demograd.metrics.aggregation import aggregate, diverged, over_seeds
from demograd.metrics.interval import Interval, ResampledInterval
from demograd.metrics.resampling import by_layer, drawn_means


@dataclass(frozen=True)
class PairedTest:
    """A mean difference, whether it is other than zero, and, given a margin, whether it is as good as zero."""

    difference: float
    """Mean over queries, then layers, then demonstration seeds; NaN (missing) where there is none, or one diverged."""
    interval: ResampledInterval | None
    p_value: float
    """Two-sided; of "the difference is zero". NaN (not tested) where there is no interval."""
    effect_size: float
    """Paired Hedges g over demonstration seeds; NaN (missing) under three, or where all differences are zero."""
    n_seeds: int
    """That have a value."""
    n_queries: int
    reason: str = ""
    """Why nothing was tested, as a clause; else empty."""
    margin: float | None = None
    """How large a difference may be and still count as none; None: nobody said."""
    p_equal: float = nan
    """Of "the difference is as large as the margin or larger"; NaN (not tested) without a margin."""


def paired_test(
    difference: Float[Tensor, "seeds queries *layers"],
    *,
    margin: float | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedTest:
    """Test a difference of two scores of the same demonstration seeds on the same queries.

    Both methods, or both weights, see the same demonstrations and queries: subtract value by value,
    `difference(stack_seeds(a), stack_seeds(b))`, and what the pairs share cancels. NaN is missing, and so is a query
    that a seed does not select; where a value is infinite, one of the two diverged, and nothing is tested.

    The p-value is the smallest α at which `interval_over_demonstrations` of level 1 − α leaves out zero. So it is at
    most 1 − `level` exactly where the interval given here leaves out zero: verdict and p-value cannot disagree. It is
    never below 2 / `resamples` (0.001): beyond, no resample lies in the tail.

    `p_equal` is found in the same way: the smallest α at which the interval lies within (−margin, margin). It asks more
    than two one-sided tests at α do, whose interval has the level 1 − 2α.
    """
    over = over_seeds([aggregate(of_seed).value for of_seed in by_layer(difference)])
    means = drawn_means(difference, resamples, seed)
    drawn = None if means is None else means.averaged("demonstrations")
    if drawn is None:
        n_queries = int(by_layer(difference).isfinite().any(dim=-1).any(dim=0).sum())
        n_diverged = int(difference.isinf().sum())
        why = diverged(n_diverged, difference.numel()) if n_diverged else _why_not(over.n, n_queries)
        return PairedTest(over.mean, None, nan, nan, over.n, n_queries, why, margin)
    p_equal = nan
    if margin is not None:
        p_equal = _smallest_alpha(lambda alpha: _within(drawn.interval(1 - alpha), margin), level, resamples)
    return PairedTest(
        drawn.estimate,
        drawn.interval(level),
        _smallest_alpha(lambda alpha: _leaves_out_zero(drawn.interval(1 - alpha)), level, resamples),
        hedges_g(over.mean, over.std, over.n),
        drawn.n_seeds,
        drawn.n_queries,
        margin=margin,
        p_equal=p_equal,
    )


def hedges_g(mean: float, std: float | None, n: int) -> float:
    """Paired Hedges g: mean / std of n differences, times Γ(m/2) / (√(m/2) Γ((m − 1)/2)), m = n − 1.

    The factor undoes that few differences overstate it: 0.56 at n = 3, 0.80 at 5. Differences that are all alike have
    an infinite effect, with their sign; NaN (missing) where they are all zero, or fewer than three (`std` is None).

    **Source:** Hedges 1981, "Distribution theory for Glass's estimator of effect size".
    """
    if std is None or (std == 0 and mean == 0):
        return nan
    if std == 0:
        return copysign(inf, mean)
    m = n - 1
    return mean / std * exp(lgamma(m / 2) - lgamma((m - 1) / 2)) / sqrt(m / 2)


def _leaves_out_zero(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0


def _within(interval: Interval, margin: float) -> bool:
    return -margin < interval.low and interval.high < margin


def _smallest_alpha(shown: Callable[[float], bool], level: float, resamples: int) -> float:
    """By bisection: `shown` once means shown at every larger α, up to the noise of resampling. 1 − `level` is asked
    first, so that this noise cannot part the p-value from the interval of that level."""
    low, high = 2 / resamples, 1.0
    if shown(low):
        return low
    alpha = 1 - level
    for _ in range(30):
        low, high = (low, alpha) if shown(alpha) else (alpha, high)
        alpha = (low + high) / 2
    return high


def _why_not(n_seeds: int, n_queries: int) -> str:
    if n_seeds == 0:
        return "no demonstration seed has a value"
    if n_seeds == 1:
        return "one demonstration seed has a value, and a test takes two"
    return f"{n_queries} quer{'y has' if n_queries == 1 else 'ies have'} a value, and a test takes two"
