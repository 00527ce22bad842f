"""Is a score other in one run than in another? Of the same demonstration sets its differences are tested, set by set;
of others the two means, which then share nothing."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference, over_seeds
from demograd.statistics.crossed import crossed_products, pooled_mean
from demograd.statistics.estimated_mean import EstimatedMean, mean_of_independent
from demograd.statistics.intervals import mean_over_seeds
from demograd.statistics.matching import MatchingTest, double_difference, match
from demograd.statistics.pairs import products_of
from demograd.statistics.significance import PairedTest, hedges_g

_TOO_FEW = "it takes two demonstration sets with a value"


def paired_by_set(left: Sequence[float], right: Sequence[float]) -> PairedTest:
    """Right minus left, of one value per demonstration set in the same order: Student's t over the sets.

    A value is a mean over queries, which are the same on both sides: the interval holds for these queries. NaN is
    missing; where a value is infinite, it diverged, and nothing is tested.
    """
    differences = difference(torch.tensor(right).double(), torch.tensor(left).double())
    over = over_seeds(differences.tolist())
    effect_size = hedges_g(over.mean, over.std, over.n)
    return replace(_test_of(_mean_of_sets(differences)), effect_size=effect_size)


def unpaired(
    left: Float[Tensor, "seeds queries *layers"] | Sequence[float],
    right: Float[Tensor, "other_seeds other_queries *other_layers"] | Sequence[float],
) -> PairedTest:
    """Right minus left, of other demonstration sets or queries: variances add, with Satterthwaite's degrees of freedom
    (Welch 1947). Queries that both share make the interval wider than it need be.

    Args:
        left: by set and query, or one value per set; then the interval holds for these queries.
        right: as `left`.
    """
    return _test_of(_minus(_mean_of(right), _mean_of(left)))


def paired_specificities(
    left: Float[Tensor, "sets sets queries *layers"], right: Float[Tensor, "sets sets queries *layers"]
) -> PairedTest:
    """Specificity of `right` minus that of `left`, two matrices of the same sets: that of the matrix of their
    differences (`double_difference`), with its p-value by permutations of the pairing."""
    test = double_difference(right, left)
    interval, p_value = (None, nan) if test.interval is None else (test.interval, test.p_two_sided)
    return PairedTest(test.specificity, interval, p_value, nan, test.n_sets, test.n_queries, test.reason)


def unpaired_specificities(
    left: Float[Tensor, "sets sets queries *layers"], right: Float[Tensor, "others others other_queries *other_layers"]
) -> PairedTest:
    """The same of matrices of other sets or queries: jackknife means of both (`match`), whose variances add."""
    return _test_of(_minus(_specificity(match(right)), _specificity(match(left))))


def _mean_of(values: Tensor | Sequence[float]) -> EstimatedMean | None:
    return mean_over_seeds(values) if isinstance(values, Tensor) else _mean_of_sets(torch.tensor(values).double())


def _mean_of_sets(values: Float[Tensor, " seeds"]) -> EstimatedMean | None:
    """With what varies between sets for its variance. None with fewer than two sets, or where one diverged."""
    present = values[~values.isnan()].numpy()
    if len(present) < 2 or values.isinf().any():
        return None
    return crossed_products(present[None, :, None]).weighted(1.0)


def _specificity(test: MatchingTest) -> EstimatedMean | None:
    if test.reason or test.n_sets < 3:
        return None
    return pooled_mean([products_of(pairs.specific_and_similar) for pairs in test.pairs], 1.0, 0.0)


def _minus(right: EstimatedMean | None, left: EstimatedMean | None) -> EstimatedMean | None:
    """Of independent means."""
    if right is None or left is None:
        return None
    half = mean_of_independent([right, replace(left, estimate=-left.estimate)])
    return replace(half, estimate=2 * half.estimate, variance=4 * half.variance)


def _test_of(mean: EstimatedMean | None, level: float = 0.95) -> PairedTest:
    if mean is None:
        return PairedTest(nan, None, nan, nan, 0, 0, _TOO_FEW)
    p_value = mean.p_outside(0.0, 0.0)
    return PairedTest(mean.estimate, mean.interval(level), p_value, nan, mean.n_seeds, mean.n_queries)
