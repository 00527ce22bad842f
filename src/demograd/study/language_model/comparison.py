"""One test of one claim about language models."""

from dataclasses import dataclass

from demograd.statistics import PairedTest
from demograd.study.language_model.claim_sides import Side
from demograd.study.verdicts import Statement


@dataclass(frozen=True)
class ClaimComparison:
    """One test of one claim: on one task, with everything that neither side names the same on both."""

    claim: str
    task: str
    k: int
    sides: tuple[Side | float, Side | float]
    title: str
    """What is compared, in words."""
    place: str
    """Where on curves over learning rates, in words that follow the title; empty where that is no choice."""
    left: float
    """The side's mean over the pairs that have both values, as `aggregate` takes it; so is the other one's."""
    right: float
    test: PairedTest
    n: int
    """How many pairs of values (one per set, query and layer) entered."""
    n_missing: int
    """How many lack a value on either side: below resolution, not finite, not reached by a curve, not selected."""
    one_rate_each: bool
    """Whether it compares methods or weights at one learning rate each, which is not fair."""
    objection: str
    """Why the numbers do not count; else empty."""
    cell_labels: tuple[str, ...] = ()
    """`GD 0.001`: the cells whose validity checks speak of it, each a method at a rate from which a side was read."""

    @property
    def statement(self) -> Statement:
        """What is decided."""
        return Statement(self.claim, self.test, self.objection)
