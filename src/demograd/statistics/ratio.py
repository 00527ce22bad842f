"""The ratio of two means over the same seeds and queries, with Fieller's interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from scipy.optimize import brentq

from demograd.statistics.crossed import CrossedProducts, pooled_mean
from demograd.statistics.verdict import Interval


@dataclass(frozen=True)
class Ratio:
    """A mean over another; NaN where the other is not above zero."""

    value: float
    interval: Interval | None
    """None where the interval of the other mean is not above zero, for then any ratio may be."""


def ratio(independent: Sequence[CrossedProducts], level: float) -> Ratio:
    """The first mean over the second, of each of the tables that share neither seeds nor queries.

    The interval holds the ratios ρ for which that of first − ρ second holds zero, so it does not take the second as
    known.

    **Source:** Fieller 1954, "Some problems in interval estimation".
    """
    above, below = pooled_mean(independent, 1.0, 0.0), pooled_mean(independent, 0.0, 1.0)
    if not below.estimate > 0:
        return Ratio(nan, None)
    value = above.estimate / below.estimate
    if not below.interval(level).low > 0:
        return Ratio(value, None)

    def distance(reach: float, side: int) -> float:
        """Zero or more where value + side · reach is rejected."""
        mean = pooled_mean(independent, 1.0, -(value + side * reach))
        return -side * mean.estimate - mean.quantile(level) * mean.standard_error

    reaches = []
    for side in (-1, 1):
        largest = pooled_mean(independent, 1.0, -value).standard_error / below.estimate
        while largest and distance(largest, side) < 0:
            largest *= 2
        reaches.append(brentq(distance, 0.0, largest, args=(side,)) if largest else 0.0)
    low, high = value - reaches[0], value + reaches[1]
    return Ratio(value, Interval(low, high, level, "demonstrations", above.n_seeds))
