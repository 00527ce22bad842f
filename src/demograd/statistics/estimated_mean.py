"""A mean with its variance: every interval and p-value of it, by t, so that none disagrees with another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

from scipy.special import stdtr, stdtrit

from demograd.statistics.verdict import Interval, Over


@dataclass(frozen=True)
class EstimatedMean:
    """A mean, its variance and the degrees of freedom of that."""

    estimate: float
    variance: float
    degrees: float
    over: Over
    n_seeds: int
    """That have a value."""
    n_queries: int

    @property
    def standard_error(self) -> float:
        return sqrt(self.variance)

    def interval(self, level: float) -> Interval:
        """The t interval of this level."""
        reach = self.quantile(level) * self.standard_error
        return Interval(self.estimate - reach, self.estimate + reach, level, self.over, self.n_seeds)

    def quantile(self, level: float) -> float:
        """How many standard errors the interval of this level reaches to each side."""
        return float(stdtrit(self.degrees, (1 + level) / 2))

    def p_above(self, value: float) -> float:
        """One-sided: of "the mean is `value` or less", against "it is above"."""
        return self._tail(value - self.estimate)

    def p_below(self, value: float) -> float:
        """One-sided: of "the mean is `value` or more", against "it is below"."""
        return self._tail(self.estimate - value)

    def p_outside(self, low: float, high: float) -> float:
        """The smallest α at which no part of the interval of level 1 − α lies from `low` to `high`; either may be
        infinite. With both the same: two-sided, of "the mean is this value"."""
        return min(1.0, 2 * min(self.p_below(low), self.p_above(high)))

    def p_within(self, low: float, high: float) -> float:
        """The smallest α at which the interval of level 1 − α lies between `low` and `high`; either may be infinite."""
        return min(1.0, 2 * max(self.p_above(low), self.p_below(high)))

    def _tail(self, distance: float) -> float:
        """The probability of so large a distance on the other side of a bound; a mean without variance is on one."""
        if not self.variance:
            return 1.0 if distance >= 0 else 0.0
        return float(stdtr(self.degrees, distance / self.standard_error))


def mean_of_independent(means: Sequence[EstimatedMean]) -> EstimatedMean:
    """The mean of means that share neither seeds nor queries: variances add, with Satterthwaite's degrees of
    freedom."""
    if len(means) == 1:
        return means[0]
    variances = [mean.variance / len(means) ** 2 for mean in means]
    over_degrees = sum(variance**2 / mean.degrees for variance, mean in zip(variances, means, strict=True))
    return EstimatedMean(
        sum(mean.estimate for mean in means) / len(means),
        sum(variances),
        sum(variances) ** 2 / over_degrees if over_degrees else inf,
        means[0].over,
        min(mean.n_seeds for mean in means),
        sum(mean.n_queries for mean in means),
    )
