"""What the data say about a family of claims, each the more careful for being one of many."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

from demograd.metrics.decision import SEEDS_TO_DECIDE, Decision, Verdict
from demograd.metrics.holm import holm
from demograd.metrics.paired_test import PairedTest


@dataclass(frozen=True)
class ClaimDecision(Decision):
    """A verdict, why, and the p-values behind it, corrected for the family."""

    p_value: float
    """Of no difference; NaN where not tested."""
    p_equal: float
    """Of a difference as large as the margin; NaN without one, or where not tested."""
    n_tested: int
    """For how many p-values of the family these are corrected."""


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
    asked = [(name, kind) for name in can_decide for kind in ("p_value", "p_equal")]
    family = holm([getattr(can_decide[name], kind) for name, kind in asked])
    corrected = dict(zip(asked, family.p_values, strict=True))
    decisions = {}
    for name, test in tests.items():
        p_value, p_equal = (corrected.get((name, kind), nan) for kind in ("p_value", "p_equal"))
        verdict, reason = _verdict(test, p_value, p_equal, alpha, least)
        decisions[name] = ClaimDecision(verdict, reason, p_value, p_equal, family.n_tested)
    return decisions


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
