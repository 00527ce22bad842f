"""Means over demonstration seeds and queries that are crossed: their variance from mean squares, without resampling.

The mean of a table of S seeds × Q queries, x_sq = μ + a_s + b_q + c_sq, has the variance σ_a²/S + σ_b²/Q + σ_c²/(SQ).
Mean squares estimate it: E MS_a = Qσ_a² + σ_c², E MS_b = Sσ_b² + σ_c², E MS_c = σ_c², so MS_a + MS_b − MS_c over SQ is
unbiased. Where MS_c happens to be the larger, the difference is below what seeds, or queries, alone account for, and
the largest of the three is taken.

Degrees of freedom are Satterthwaite's, with MS_c in the place of an MS_a below it, which is luck: else five seeds that
happen to lie close together leave the many degrees of freedom of the queries, and p-values of 0.001 come seven times as
often as they should (`benchmarks/coverage.py`).

**Source:** Searle, Casella & McCulloch 1992, "Variance components", §4; Satterthwaite 1946, "An approximate
distribution of estimates of variance components". The floor is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from demograd.statistics.estimated_mean import EstimatedMean, mean_of_independent
from demograd.statistics.verdict import Over


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

    def weighted(self, *weights: float) -> EstimatedMean:
        """The mean of the weighted sum of the tables."""
        w = np.array(weights)
        a, b, c = (float(w @ products @ w) for products in (self.of_seeds, self.of_queries, self.of_both))
        variance, degrees = _variance(a, b, c, self.n_seeds, self.n_queries)
        estimate = float(w @ self.estimates)
        return EstimatedMean(estimate, variance, degrees, "demonstrations", self.n_seeds, self.n_queries)


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


def pooled_mean(independent: Sequence[CrossedProducts], *weights: float) -> EstimatedMean:
    """The mean of the weighted sum, over tables that share neither seeds nor queries."""
    return mean_of_independent([products.weighted(*weights) for products in independent])


def mean_of_parts(table: Float[np.ndarray, "seeds queries"], over: Over) -> EstimatedMean | None:
    """The mean of a table (`parts.py`); conditional on the demonstrations, it varies with the queries alone. None with
    fewer than two queries, or seeds (conditional: one)."""
    n_seeds, n_queries = table.shape
    if n_queries < 2 or n_seeds < (2 if over == "demonstrations" else 1):
        return None
    if over == "demonstrations":
        return crossed_products(table[None]).weighted(1.0)
    by_query = table.mean(axis=0)
    variance = float(by_query.var(ddof=1)) / n_queries
    return EstimatedMean(float(by_query.mean()), variance, float(n_queries - 1), over, n_seeds, n_queries)


def _variance(of_seeds: float, of_queries: float, of_both: float, n_seeds: int, n_queries: int) -> tuple[float, float]:
    """Of the mean, and its degrees of freedom."""
    variance = max(of_seeds + of_queries - of_both, of_seeds, of_queries, 0.0) / (n_seeds * n_queries)
    fewest = float(max(min(n_seeds, n_queries) - 1, 1)) if n_queries > 1 else float(n_seeds - 1)
    expected = max(of_seeds, of_both)
    parts = expected**2 / (n_seeds - 1) + of_queries**2 / max(n_queries - 1, 1)
    total = max(expected + of_queries - of_both, of_queries)
    return variance, max(total**2 / parts, fewest) if parts > 0 else fewest
