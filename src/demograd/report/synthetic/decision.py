"""What the numbers say of what a trained transformer is: supported, contradicted or undecided, and why.

Nothing is decided on fewer than five training seeds, or by an interval over test sequences alone.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import floor

from demograd.report.networks import undecidable
from demograd.report.numbers import Number
from demograd.statistics import Decision, Verdict

SAME_LOSS = (0.98, 1.02)
"""Between which the ratio of two losses must lie for two learners to be the same."""
SAME_RULE = 0.99
"""Above which the cosine of their sensitivities ∂ŷ/∂x must lie."""
SAME_PRECONDITIONER = 0.05
"""Below which the relative distance of a trained preconditioner from the closed form must lie."""


def same_algorithm(loss_ratio: Number, sensitivity_cosine: Number) -> Decision:
    """Whether a network does what a reference does: as large a loss, from as sensitive a prediction.

    Either number contradicts it alone; it takes both to support it.
    """
    return all_of(
        within(loss_ratio, SAME_LOSS, "the ratio of losses"),
        above(sensitivity_cosine, SAME_RULE, "the cosine of sensitivities"),
    )


class Standing(StrEnum):
    """How a network's loss stands to a reference's, as far as its whole interval says."""

    BETTER = "better"
    WORSE = "worse"
    AS_GOOD = "as good"
    """Within 2 %."""
    AS_GOOD_OR_BETTER = "as good or better"
    """Within 2 % or below; which of the two is open."""
    OPEN = "open"


def standing(loss_ratio: Number) -> Standing:
    """By the bounds within which two losses count as the same."""
    if undecidable(loss_ratio):
        return Standing.OPEN
    assert loss_ratio.low is not None and loss_ratio.high is not None
    if loss_ratio.low > SAME_LOSS[1]:
        return Standing.WORSE
    if loss_ratio.high > SAME_LOSS[1]:
        return Standing.OPEN
    if loss_ratio.high < SAME_LOSS[0]:
        return Standing.BETTER
    return Standing.AS_GOOD if loss_ratio.low >= SAME_LOSS[0] else Standing.AS_GOOD_OR_BETTER


def standing_in_words(loss_ratio: Number) -> str:
    """`its loss is at least 3.2 times below`: by what bound of the interval is on the reference's side; empty where
    nothing can be said."""
    match standing(loss_ratio):
        case Standing.BETTER:
            return f"its loss is at least {_floored(1 / max(loss_ratio.high or 0.0, 1e-12))} times below"
        case Standing.WORSE:
            return f"its loss is at least {_floored(loss_ratio.low or 0.0)} times as large"
        case Standing.AS_GOOD:
            return "its loss is within 2 %"
        case Standing.AS_GOOD_OR_BETTER:
            return "its loss is within 2 %, or below"
        case Standing.OPEN:
            return ""


def lowest_loss(margins: Iterable[Number]) -> Decision:
    """Whether one network's loss is the lowest: `margins` are by how much those of the others are above it."""
    return all_of(*(above(margin, 0.0, "by how much the other's loss is higher") for margin in margins))


def within(cell: Number, bounds: tuple[float, float], what: str) -> Decision:
    """Whether a number lies between bounds: its whole interval does, or its whole interval does not."""
    if reason := undecidable(cell):
        return Decision(Verdict.UNDECIDED, reason)
    assert cell.low is not None and cell.high is not None
    low, high = bounds
    if low <= cell.low and cell.high <= high:
        return Decision(Verdict.SUPPORTED, f"{what} is within {low:g} to {high:g}")
    if cell.high < low or cell.low > high:
        return Decision(Verdict.CONTRADICTED, f"{what} is outside {low:g} to {high:g}")
    inside = cell.value is not None and low <= cell.value <= high
    return Decision(
        Verdict.UNDECIDED, f"the interval of {what} reaches {'beyond' if inside else 'into'} {low:g} to {high:g}"
    )


def above(cell: Number, bound: float, what: str) -> Decision:
    """Whether a number is above a bound: its whole interval is above, or its whole interval is below."""
    if reason := undecidable(cell):
        return Decision(Verdict.UNDECIDED, reason)
    assert cell.low is not None and cell.high is not None
    if cell.low > bound:
        return Decision(Verdict.SUPPORTED, f"{what} is above {bound:g}")
    if cell.high < bound:
        return Decision(Verdict.CONTRADICTED, f"{what} is below {bound:g}")
    return Decision(Verdict.UNDECIDED, f"the interval of {what} includes {bound:g}")


def all_of(*decisions: Decision) -> Decision:
    """Whether all of these hold: one that is contradicted is enough to say no, else one that is open to leave it."""
    for verdict in (Verdict.CONTRADICTED, Verdict.UNDECIDED):
        reasons = dict.fromkeys(each.reason for each in decisions if each.verdict == verdict)
        if reasons:
            return Decision(verdict, " and ".join(reasons))
    return Decision(Verdict.SUPPORTED, " and ".join(dict.fromkeys(each.reason for each in decisions)))


def _floored(times: float) -> str:
    """Two decimals, cut and not rounded: "at least" must stay true."""
    return f"{floor(100 * times) / 100:g}"
