"""Is a paired difference other than zero, and how large is it? One test, from the same variance as its interval.

And of many: their p-values, corrected for how many they are (Holm), and the verdict on each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, exp, inf, isnan, lgamma, nan, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import aggregate, diverged, over_seeds
from demograd.statistics.intervals import mean_over_seeds
from demograd.statistics.parts import by_layer
from demograd.statistics.verdict import SEEDS_TO_DECIDE, Decision, Interval, Verdict

NO_VARIATION = "no variation to test against"
SAME_AMOUNT = f"all sets differ by the same amount: {NO_VARIATION}"
"""Why differences that are all alike are not tested: an interval without width is no evidence."""
ROUNDING = 1e-12
"""Of the largest value: a standard error below it is none."""


@dataclass(frozen=True)
class PairedTest:
    """A mean difference, whether it is other than zero, and, given a margin, whether it is as good as zero."""

    difference: float
    """Mean over queries, then layers, then demonstration seeds; NaN (missing) where there is none, or one diverged."""
    interval: Interval | None
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
    """The p-value of "the difference is as large as the margin or larger"; NaN (not tested) without a margin."""


@dataclass(frozen=True)
class Corrected:
    """Corrected p-values, in the order given."""

    p_values: tuple[float, ...]
    """NaN where not tested."""
    n_tested: int
    """The size of the family that was corrected for."""
    n_not_tested: int


@dataclass(frozen=True)
class ClaimDecision(Decision):
    """A verdict, why, and the p-values behind it, corrected for the family."""

    p_value: float
    """The p-value of no difference; NaN where not tested."""
    p_equal: float
    """The p-value of a difference as large as the margin; NaN without one, or where not tested."""
    n_tested: int
    """For how many p-values of the family these are corrected."""


def paired_test(
    difference: Float[Tensor, "seeds queries *layers"],
    *,
    margin: float | None = None,
    level: float = 0.95,
) -> PairedTest:
    """Test a difference of two scores of the same demonstration seeds on the same queries.

    Both methods, or both weights, see the same demonstrations and queries: subtract value by value,
    `difference(stack_seeds(a), stack_seeds(b))`, and what the pairs share cancels. NaN is missing, and so is a query
    that a seed does not select; where a value is infinite, one of the two diverged, and nothing is tested.

    The p-value is the smallest α at which `interval_over_demonstrations` of level 1 − α leaves out zero. So it is at
    most 1 − `level` exactly where the interval given here leaves out zero: verdict and p-value cannot disagree.
    Nothing is tested where all differences are the same and not zero (`SAME_AMOUNT`). Where they are all zero there is
    no difference to show, and none to rule out: the p-value is 1, and that of a margin 0.

    `p_equal` is the smallest α at which the interval lies within (−margin, margin). It asks more than two one-sided
    tests at α do, whose interval has the level 1 − 2α.
    """
    over = over_seeds([aggregate(of_seed).value for of_seed in by_layer(difference)])
    mean = mean_over_seeds(difference)
    if mean is None:
        n_queries = int(by_layer(difference).isfinite().any(dim=-1).any(dim=0).sum())
        n_diverged = int(difference.isinf().sum())
        why = diverged(n_diverged, difference.numel()) if n_diverged else _why_not(over.n, n_queries)
        return PairedTest(over.mean, None, nan, nan, over.n, n_queries, why, margin)
    rounding = max(ROUNDING, 10 * torch.finfo(difference.dtype).eps)
    if mean.estimate and mean.standard_error <= rounding * float(difference.abs().nan_to_num().max()):
        return PairedTest(over.mean, None, nan, nan, mean.n_seeds, mean.n_queries, SAME_AMOUNT, margin)
    return PairedTest(
        mean.estimate,
        mean.interval(level),
        mean.p_outside(0.0, 0.0),
        hedges_g(over.mean, over.std, over.n),
        mean.n_seeds,
        mean.n_queries,
        margin=margin,
        p_equal=nan if margin is None else mean.p_within(-margin, margin),
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


def holm(p_values: Sequence[float]) -> Corrected:
    """Holm's step-down correction: the i-th smallest of m times m − i + 1, never below the one before, at most 1.

    Claims with a corrected value of α or less are together wrong with a chance of α at most, however the tests depend
    on each other (ours share queries and demonstrations). NaN is a claim that was not tested: it stays NaN, is counted,
    and does not make the others harder to show.

    **Source:** Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    ascending = sorted((p, index) for index, p in enumerate(p_values) if not isnan(p))
    corrected = [nan] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(ascending):
        largest = max(largest, min((len(ascending) - rank) * p, 1.0))
        corrected[index] = largest
    return Corrected(tuple(corrected), len(ascending), len(p_values) - len(ascending))


def decide_all(
    tests: Mapping[str, PairedTest], alpha: float = 0.05, least: int = SEEDS_TO_DECIDE
) -> dict[str, ClaimDecision]:
    """A verdict for each claim, together wrong with a chance of `alpha` at most (Holm).

    A test without a margin is the claim "the difference is above zero": supported above, contradicted below. A test
    with a margin is the claim "there is no difference", which no data can show to be exact: it is supported where the
    difference is shown to be smaller than the margin (even if it is shown to be other than zero: rounding is), and
    contradicted where it is shown to be other than zero only. Such a claim asks two questions, and both are corrected
    for. What is not shown either way is undecided; so is any claim on fewer than `least` seeds, which for that
    reason is no part of the family.
    """
    can_decide = {name: test for name, test in tests.items() if test.n_seeds >= least}
    questions = [(name, kind) for name in can_decide for kind in ("p_value", "p_equal")]
    family = holm([getattr(can_decide[name], kind) for name, kind in questions])
    corrected = dict(zip(questions, family.p_values, strict=True))
    decisions = {}
    for name, test in tests.items():
        p_value, p_equal = (corrected.get((name, kind), nan) for kind in ("p_value", "p_equal"))
        verdict, reason = _verdict(test, p_value, p_equal, alpha, least)
        decisions[name] = ClaimDecision(verdict, reason, p_value, p_equal, family.n_tested)
    return decisions


def _why_not(n_seeds: int, n_queries: int) -> str:
    if n_seeds == 0:
        return "no demonstration seed has a value"
    if n_seeds == 1:
        return "one demonstration seed has a value, and a test takes two"
    return f"{n_queries} quer{'y has' if n_queries == 1 else 'ies have'} a value, and a test takes two"


def _verdict(test: PairedTest, p_value: float, p_equal: float, alpha: float, least: int) -> tuple[Verdict, str]:
    if test.n_seeds < least and not test.reason:
        return Verdict.UNDECIDED, f"{test.n_seeds} demonstration seeds, fewer than {least}"
    if isnan(p_value):
        return Verdict.UNDECIDED, test.reason
    side = "above" if test.difference > 0 else "below"
    differs = f"the difference is {side} 0 (corrected p = {p_value:.2g})"
    differs_not = f"the difference is not shown to be other than 0 (corrected p = {p_value:.2g})"
    if test.margin is None:
        if p_value > alpha:
            return Verdict.UNDECIDED, differs_not
        return Verdict.SUPPORTED if test.difference > 0 else Verdict.CONTRADICTED, differs
    small = f"smaller than {test.margin:g} (corrected p = {p_equal:.2g})"
    if p_equal <= alpha:
        return Verdict.SUPPORTED, f"the difference is {small}"
    if p_value <= alpha:
        return Verdict.CONTRADICTED, differs
    return Verdict.UNDECIDED, f"{differs_not}, nor to be {small}"
