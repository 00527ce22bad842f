"""What the numbers say of what a trained transformer is: supported, contradicted or undecided, and why.

Nothing is decided on fewer than five training seeds, or by an interval over test sequences alone.
"""

from collections.abc import Iterable

from demograd.metrics import Decision, Verdict
from demograd.report.cell import Cell
from demograd.report.synthetic.numbers import undecidable

SAME_LOSS = (0.98, 1.02)
"""Between which the ratio of two losses must lie for two learners to be the same."""
SAME_RULE = 0.99
"""Above which the cosine of their sensitivities ∂ŷ/∂x must lie."""
SAME_PRECONDITIONER = 0.05
"""Below which the relative distance of a trained preconditioner from the closed form must lie."""


def same_algorithm(loss_ratio: Cell, sensitivity_cosine: Cell) -> Decision:
    """Whether a network does what a reference does: as large a loss, from as sensitive a prediction.

    Either number contradicts it alone; it takes both to support it.
    """
    return all_of(within(loss_ratio, SAME_LOSS, "the ratio of losses"),
                 above(sensitivity_cosine, SAME_RULE, "the cosine of sensitivities"))  # fmt: skip


def lowest_loss(margins: Iterable[Cell]) -> Decision:
    """Whether one network's loss is the lowest: `margins` are by how much those of the others are above it."""
    return all_of(*(above(margin, 0.0, "by how much the other's loss is higher") for margin in margins))


def within(cell: Cell, bounds: tuple[float, float], what: str) -> Decision:
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


def above(cell: Cell, bound: float, what: str) -> Decision:
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
