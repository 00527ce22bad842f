"""Is a score other in one run than in another? Of the same demonstration sets its differences are tested, by set, or
by set and query; of others the two means, which then share nothing.

Every p-value is of the mean that has the interval. No pairing is permuted: where two specificities are equal, the
diagonal of the matrix of differences has the mean of the rest, but may vary more, and then the true pairing is extreme
far too often.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference, diverged, over_seeds
from demograd.statistics.crossed import crossed_products
from demograd.statistics.estimated_mean import EstimatedMean
from demograd.statistics.intervals import mean_over_seeds
from demograd.statistics.pairs import PairScores, pair_scores, products_of
from demograd.statistics.significance import ROUNDING, SAME_AMOUNT, PairedTest, hedges_g, paired_test

IDENTICAL = "the same value in every set, and for every query where these are known"
"""Why scores that do not differ at all are not tested."""
_NO_VARIATION = "neither run varies between sets: no variation to test against"


def paired_by_set(left: Sequence[float], right: Sequence[float]) -> PairedTest:
    """Right minus left, of one value per demonstration set in the same order: Student's t over the sets.

    A value is a mean over queries, which are the same on both sides: the interval holds for these queries. NaN is
    missing; where a value is infinite, it diverged, and nothing is tested. Nor is anything where the two are
    `IDENTICAL`, or all sets differ by the same amount.
    """
    values = torch.tensor([left, right], dtype=torch.float64)
    differences = difference(values[1], values[0])
    over = over_seeds(differences.tolist())
    if over.n and not differences.nan_to_num().any():
        return _untested(IDENTICAL, 0.0, over.n)
    mean, reason = _mean_of_sets(differences)
    if mean is None:
        return _untested(reason, over.mean, over.n)
    test = _test_of(mean, _largest(values), SAME_AMOUNT)
    return test if test.reason else replace(test, effect_size=hedges_g(over.mean, over.std, over.n))


def paired_by_query(left: Float[Tensor, "sets queries"], right: Float[Tensor, "sets queries"]) -> PairedTest:
    """Right minus left, of the same demonstration sets and queries, value by value: `paired_test`, whose interval is
    over sets and queries alike. Nothing is tested where the two are `IDENTICAL`."""
    differences = difference(right.double(), left.double())
    if not differences.nan_to_num().any():
        return _untested(IDENTICAL, 0.0, len(differences))
    return paired_test(differences)


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
    largest = max(_largest(torch.as_tensor(values, dtype=torch.float64)) for values in (left, right))
    return _test_of_two(_mean_of(left), _mean_of(right), largest)


def paired_specificities(
    left: Float[Tensor, "sets sets queries *layers"], right: Float[Tensor, "sets sets queries *layers"]
) -> PairedTest:
    """Specificity of `right` minus that of `left`, two matrices of the same sets: that of the matrix of their
    differences, by Student's t over its jackknife pseudo-values. Not tested as in `paired_by_set`."""
    differences = pair_scores(difference(right.double(), left.double()))
    mean, reason = _specificity(differences)
    if mean is None:
        return _untested(reason, n_seeds=differences.n_sets)
    if not np.nan_to_num(differences.scores).any():
        return _untested(IDENTICAL, 0.0, differences.n_sets)
    return _test_of(mean, max(map(_largest, (left, right))), SAME_AMOUNT)


def unpaired_specificities(
    left: Float[Tensor, "sets sets queries *layers"], right: Float[Tensor, "others others other_queries *other_layers"]
) -> PairedTest:
    """The same of matrices of other sets or queries: jackknife means of both, whose variances add, as in `unpaired`."""
    largest = max(map(_largest, (left, right)))
    return _test_of_two(_specificity(pair_scores(left)), _specificity(pair_scores(right)), largest)


_MeanOrReason = tuple[EstimatedMean | None, str]
"""A mean; or None, and why there is none, as a clause."""


def _mean_of(values: Tensor | Sequence[float]) -> _MeanOrReason:
    if not isinstance(values, Tensor):
        return _mean_of_sets(torch.tensor(values, dtype=torch.float64))
    mean = mean_over_seeds(values)
    return mean, "" if mean else _why_not(values)


def _mean_of_sets(values: Float[Tensor, " seeds"]) -> _MeanOrReason:
    """With what varies between sets for its variance. None with fewer than two sets, or where one diverged."""
    present = values[~values.isnan()].numpy()
    if len(present) < 2 or values.isinf().any():
        return None, _why_not(values)
    return crossed_products(present[None, :, None]).weighted(1.0), ""


def _specificity(pairs: PairScores) -> _MeanOrReason:
    if pairs.reason:
        return None, pairs.reason
    if pairs.n_sets < 3:
        return None, "without one of two demonstration sets there is no other to compare with"
    return products_of(pairs.specific_and_similar).weighted(1.0, 0.0), ""


def _why_not(values: Tensor) -> str:
    n_diverged = int(values.isinf().sum())
    return diverged(n_diverged, values.numel()) if n_diverged else "it takes two demonstration sets with a value"


def _test_of_two(left: _MeanOrReason, right: _MeanOrReason, largest: float) -> PairedTest:
    """Of independent means."""
    (left_mean, left_reason), (right_mean, right_reason) = left, right
    if left_mean is None or right_mean is None:
        return _untested(left_reason or right_reason)
    variances, degrees = zip(*((mean.variance, mean.degrees) for mean in (left_mean, right_mean)), strict=True)
    variance = sum(variances)
    over_degrees = sum(part**2 / degree for part, degree in zip(variances, degrees, strict=True))
    mean = EstimatedMean(
        right_mean.estimate - left_mean.estimate,
        variance,
        variance**2 / over_degrees if over_degrees else inf,
        "demonstrations",
        min(left_mean.n_seeds, right_mean.n_seeds),
        left_mean.n_queries + right_mean.n_queries,
    )
    return _test_of(mean, largest, _NO_VARIATION)


def _test_of(mean: EstimatedMean, largest: float, without_variance: str) -> PairedTest:
    """Whether the mean is zero; not tested where it has no variance but that of rounding."""
    if mean.standard_error <= ROUNDING * largest:
        return _untested(without_variance, mean.estimate, mean.n_seeds)
    p_value = mean.p_outside(0.0, 0.0)
    return PairedTest(mean.estimate, mean.interval(0.95), p_value, nan, mean.n_seeds, mean.n_queries)


def _untested(reason: str, difference: float = nan, n_seeds: int = 0) -> PairedTest:
    return PairedTest(difference, None, nan, nan, n_seeds, 0, reason)


def _largest(values: Tensor) -> float:
    """The largest magnitude; 0 where there is no finite value."""
    return float(values.abs().nan_to_num(posinf=0.0).max()) if values.numel() else 0.0
