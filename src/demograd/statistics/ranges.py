"""Claims of the form "these numbers lie in these ranges": tests of each number, and verdicts of a family of claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isinf, isnan, nan

from demograd.statistics.estimated_mean import EstimatedMean
from demograd.statistics.number import Number
from demograd.statistics.significance import ClaimDecision, holm
from demograd.statistics.verdict import SEEDS_TO_DECIDE, Interval, Verdict

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class RangeTest:
    """A number over training seeds, and the range in which a claim says that it lies."""

    number: Number
    """As tables have it."""
    mean: EstimatedMean | None
    """From which the interval of any level comes; None: there is none."""
    low: float
    high: float
    """The ends belong to the range, minus infinity and infinity leave it open; one that is open above begins above
    `low`."""
    title: str
    """What the number is, as a reason says it: `the ratio of losses`."""
    objection: str = ""
    """Why the number decides nothing, whatever it is; empty: it may."""

    @property
    def inside(self) -> str:
        """`within 0.98 to 1.02`, `above 0.99`, `below 0.05`."""
        if isinf(self.high):
            return f"above {self.low:g}"
        return f"below {self.high:g}" if isinf(self.low) else f"within {self.low:g} to {self.high:g}"

    @property
    def outside(self) -> str:
        """`outside 0.98 to 1.02`, `below 0.99`, `above 0.05`."""
        if isinf(self.high):
            return f"below {self.low:g}"
        return f"above {self.high:g}" if isinf(self.low) else f"outside {self.low:g} to {self.high:g}"

    @cached_property
    def interval(self) -> Interval | None:
        """The 95 % interval of the test."""
        return None if self.mean is None else self.mean.interval(LEVEL)

    def undecidable(self, least: int = SEEDS_TO_DECIDE) -> str:
        """Why the number can decide nothing, as a clause; empty if it can."""
        if self.objection or self.number.value is None:
            return self.objection or self.number.text
        n_seeds = self.number.n_seeds if self.mean is None else min(self.number.n_seeds, self.mean.n_seeds)
        if n_seeds < least:
            return f"fewer than {least} training seeds ({n_seeds})"
        if self.mean is None or self.number.interval is None or self.number.conditional:
            return "there is no interval over training seeds"
        return ""

    def is_inside(self, interval: Interval) -> bool:
        """Whether a whole interval lies in the range."""
        above = self.low < interval.low if isinf(self.high) else self.low <= interval.low
        return above and interval.high <= self.high

    def is_outside(self, interval: Interval) -> bool:
        """Whether no part of an interval lies in the range."""
        return interval.high < self.low or self.high < interval.low

    @property
    def p_inside(self) -> float:
        """The smallest α at which the interval of level 1 − α lies in the range: of "it lies elsewhere"."""
        if self.mean is None or self.interval is None:
            return nan
        if not self.mean.variance:  # a point may be an end of the range, which belongs to it
            return 0.0 if self.is_inside(self.interval) else 1.0
        return self.mean.p_within(self.low, self.high)

    @property
    def p_outside(self) -> float:
        """The smallest α at which the interval of level 1 − α leaves out the range: of "it lies there"."""
        return nan if self.mean is None else self.mean.p_outside(self.low, self.high)


def decide_ranges(
    statements: Mapping[str, Sequence[RangeTest]], alpha: float = 0.05, least: int = SEEDS_TO_DECIDE
) -> dict[str, ClaimDecision]:
    """A verdict for each statement, together wrong with a chance of `alpha` at most (Holm).

    A statement is that each of its numbers lies in its range. It is supported by all together, so with the largest of
    their p-values, which needs no correction (an intersection-union test); it is contradicted by any one, so with the
    smallest times their number (Bonferroni). Intervals are two-sided, so that either answer alone is wrong with half of
    α, and a statement counts once. A number that can decide nothing (`RangeTest.undecidable`) supports nothing, and
    leaves it to the others to contradict.

    **Source:** Berger 1982, "Multiparameter hypothesis testing and acceptance sampling"; Holm 1979.
    """
    inside, outside = {}, {}
    for name, tests in statements.items():
        decidable = [test for test in tests if not test.undecidable(least)]
        inside[name] = max((test.p_inside for test in tests), default=nan) if len(decidable) == len(tests) else nan
        outside[name] = min((len(decidable) * min(test.p_outside, 1.0) for test in decidable), default=nan)
    answers = {
        name: min((p for p in (inside[name], outside[name]) if not isnan(p)), default=nan) for name in statements
    }
    family = holm(list(answers.values()))
    decisions = {}
    for (name, tests), corrected in zip(statements.items(), family.p_values, strict=True):
        verdict = Verdict.UNDECIDED
        if corrected <= alpha:  # not where it is NaN
            verdict = Verdict.SUPPORTED if answers[name] == inside[name] else Verdict.CONTRADICTED
        decisions[name] = ClaimDecision(
            verdict, _reason(verdict, tests, corrected, least), corrected, nan, family.n_tested
        )
    return decisions


def _reason(verdict: Verdict, tests: Sequence[RangeTest], p_value: float, least: int) -> str:
    if verdict is Verdict.UNDECIDED:
        reasons = [test.undecidable(least) or _open(test) for test in tests]
        return " and ".join(dict.fromkeys(filter(None, reasons))) or f"corrected p = {p_value:.2g}"
    if verdict is Verdict.SUPPORTED:
        shown = [f"{test.title} is {test.inside}" for test in tests]
    else:
        shown = [
            f"{test.title} is {test.outside}"
            for test in tests
            if not test.undecidable(least) and test.interval is not None and test.is_outside(test.interval)
        ]
    return f"{' and '.join(dict.fromkeys(shown))} (corrected p = {p_value:.2g})"


def _open(test: RangeTest) -> str:
    """Why a number leaves a statement open; empty where its own 95 % interval would not."""
    interval, value = test.interval, test.number.value
    if interval is None or value is None or test.is_inside(interval):
        return ""
    if test.is_outside(interval):
        return f"{test.title} is not shown to be {test.outside}"
    if isinf(test.high) or isinf(test.low):
        return f"the interval of {test.title} includes {test.low if isinf(test.high) else test.high:g}"
    reaches = "beyond" if test.low <= value <= test.high else "into"
    return f"the interval of {test.title} reaches {reaches} {test.low:g} to {test.high:g}"
