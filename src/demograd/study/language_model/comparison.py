"""One test of one claim about language models."""

from dataclasses import dataclass

from demograd.statistics import Interval, MatchingTest, PairedTest
from demograd.study.claims import claims_of
from demograd.study.language_model.claim_sides import Side
from demograd.study.verdicts import Statement
from demograd.words import Labels


@dataclass(frozen=True)
class ClaimComparison:
    """One test of one claim: on one task, or on several together, with everything that neither side names the same on
    both."""

    claim: str
    task: str
    """Its name, or those of all that are pooled."""
    labels: Labels
    k: int
    sides: tuple[Side | float, Side | float]
    title: str
    """What is compared, in words."""
    place: str
    """Where on curves over learning rates, in words that follow the title; empty where that is no choice."""
    left: float
    """The side's mean over the pairs that have both values, as `aggregate` takes it; so is the other one's."""
    right: float
    test: PairedTest | MatchingTest
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
    initialisation: int | None = None
    """Of the untrained weights of a side; None where neither has any."""
    has_few_label_words: bool = False
    """Whether the task has too few label words for the metric to have a value."""
    ceiling: MatchingTest | None = None
    """Of matching: the same of ICL on the reordered sets in FT's place; None where that was not observed."""

    @property
    def is_of_matching(self) -> bool:
        """Whether it is about matrices, tested or not."""
        return str(claims_of("language_model")[self.claim]["compare"]).startswith("specific")

    @property
    def is_pooled(self) -> bool:
        """Whether it is over several tasks."""
        return isinstance(self.test, MatchingTest) and len(self.test.pairs) > 1

    @property
    def difference(self) -> float:
        """Left minus right; of matching, the specificity."""
        return self.test.specificity if isinstance(self.test, MatchingTest) else self.test.difference

    @property
    def p_value(self) -> float:
        """Two-sided."""
        return self.test.p_two_sided if isinstance(self.test, MatchingTest) else self.test.p_value

    @property
    def n_sets(self) -> int:
        """Demonstration sets that have a value."""
        return self.test.n_sets if isinstance(self.test, MatchingTest) else self.test.n_seeds

    @property
    def interval(self) -> Interval | None:
        """Of the difference."""
        return self.test.interval

    @property
    def statement(self) -> Statement:
        """What is decided."""
        return Statement(self.claim, self.test, self.objection)
