"""Means over demonstration seeds and queries that are crossed: their variance from mean squares, without resampling.

The mean x̄ of a table of S seeds × Q queries, x_sq = μ + a_s + b_q + c_sq, has the variance σ_a²/S + σ_b²/Q + σ_c²/(SQ).
Mean squares estimate it: E MS_a = Qσ_a² + σ_c², E MS_b = Sσ_b² + σ_c², E MS_c = σ_c², so MS_a + MS_b − MS_c over SQ is
unbiased. Where MS_c happens to be the larger, the difference is below what seeds, or queries, alone account for, and
the largest of the three is taken. Degrees of freedom are Satterthwaite's where it is the sum, else those of the mean
square.

**Source:** Searle, Casella & McCulloch 1992, "Variance components", §4; Satterthwaite 1946, "An approximate
distribution of estimates of variance components".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

from demograd.statistics.verdict import Interval


@dataclass(frozen=True)
class CrossedMean:
    """A mean, its variance and the degrees of freedom of that: all that an interval or a p-value takes."""

    estimate: float
    variance: float
    degrees: float
    n_seeds: int
    n_queries: int

    @cached_property
    def standard_error(self) -> float:
        return sqrt(self.variance)

    def interval(self, level: float) -> Interval:
        """The t interval of this level."""
        reach = self.quantile(level) * self.standard_error
        return Interval(self.estimate - reach, self.estimate + reach, level, "demonstrations", self.n_seeds)

    def quantile(self, level: float) -> float:
        """How many standard errors the interval of this level reaches to each side."""
        return float(stdtrit(self.degrees, (1 + level) / 2))

    def p_below(self, value: float) -> float:
        """One-sided: of "the mean is `value` or more", against "it is below"."""
        distance = self.estimate - value
        if not self.variance:
            return 1.0 if distance >= 0 else 0.0
        return float(stdtr(self.degrees, distance / self.standard_error))

    def p_above(self, value: float) -> float:
        """One-sided: of "the mean is `value` or less", against "it is above"."""
        distance = value - self.estimate
        if not self.variance:
            return 1.0 if distance >= 0 else 0.0
        return float(stdtr(self.degrees, distance / self.standard_error))

    def p_other(self, value: float) -> float:
        """Two-sided: of "the mean is `value`"; at most 1 − level where the interval of that level leaves it out."""
        return min(1.0, 2 * min(self.p_below(value), self.p_above(value)))

    def p_within(self, low: float, high: float) -> float:
        """The smallest α at which the interval of level 1 − α lies between `low` and `high`; they may be infinite."""
        return min(1.0, 2 * max(self.p_above(low), self.p_below(high)))


@dataclass(frozen=True, eq=False)
class CrossedProducts:
    """Several tables of the same seeds and queries: their means, and mean squares and products of each effect, from
    which follows the mean of every weighted sum of the tables."""

    estimates: Float[np.ndarray, " tables"]
    of_seeds: Float[np.ndarray, "tables tables"]
    of_queries: Float[np.ndarray, "tables tables"]
    of_both: Float[np.ndarray, "tables tables"]
    """Of the interaction of seed and query."""
    n_seeds: int
    n_queries: int

    def weighted(self, *weights: float) -> CrossedMean:
        """The mean of the weighted sum of the tables."""
        w = np.array(weights)
        a, b, c = (float(w @ products @ w) for products in (self.of_seeds, self.of_queries, self.of_both))
        variance, degrees = _variance(a, b, c, self.n_seeds, self.n_queries)
        return CrossedMean(float(w @ self.estimates), variance, degrees, self.n_seeds, self.n_queries)


def crossed_products(tables: Float[np.ndarray, "tables seeds queries"]) -> CrossedProducts:
    """Mean squares and products of complete tables of two seeds or more. Of one query, nothing is known of what varies
    between queries: the variance is that of seeds."""
    _, n_seeds, n_queries = tables.shape
    by_seed, by_query = tables.mean(axis=2), tables.mean(axis=1)
    estimates = by_seed.mean(axis=1)
    a, b = by_seed - estimates[:, None], by_query - estimates[:, None]
    c = tables - by_seed[:, :, None] - by_query[:, None] + estimates[:, None, None]
    return CrossedProducts(
        estimates,
        n_queries * (a @ a.T) / (n_seeds - 1),
        n_seeds * (b @ b.T) / max(n_queries - 1, 1),
        np.einsum("ksq,lsq->kl", c, c) / ((n_seeds - 1) * max(n_queries - 1, 1)),
        n_seeds,
        n_queries,
    )


def crossed_mean(table: Float[np.ndarray, "seeds queries"]) -> CrossedMean:
    """The mean of one complete table."""
    return crossed_products(table[None]).weighted(1.0)


def pooled_mean(independent: Sequence[CrossedProducts], *weights: float) -> CrossedMean:
    """The mean, over tables that share neither seeds nor queries, of the weighted sum: variances add, with
    Satterthwaite's degrees of freedom."""
    means = [products.weighted(*weights) for products in independent]
    if len(means) == 1:
        return means[0]
    variances = np.array([mean.variance for mean in means]) / len(means) ** 2
    over_degrees = np.sum(variances**2 / [mean.degrees for mean in means])
    return CrossedMean(
        float(np.mean([mean.estimate for mean in means])),
        float(variances.sum()),
        float(variances.sum() ** 2 / over_degrees) if over_degrees else inf,
        min(mean.n_seeds for mean in means),
        sum(mean.n_queries for mean in means),
    )


def _variance(of_seeds: float, of_queries: float, of_both: float, n_seeds: int, n_queries: int) -> tuple[float, float]:
    """Of the mean, and its degrees of freedom."""
    total = of_seeds + of_queries - of_both
    if total > max(of_seeds, of_queries):
        parts = (of_seeds, n_seeds - 1), (of_queries, n_queries - 1), (of_both, (n_seeds - 1) * (n_queries - 1))
        degrees = total**2 / sum(square**2 / n for square, n in parts)
        return total / (n_seeds * n_queries), degrees
    if of_seeds >= of_queries:
        return max(of_seeds, 0.0) / (n_seeds * n_queries), float(n_seeds - 1)
    return of_queries / (n_seeds * n_queries), float(n_queries - 1)
