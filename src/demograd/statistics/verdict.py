"""An interval, and what it lets one say about a claim of the form "the value is above zero"."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

SEEDS_TO_DECIDE = 5
"""Fewer demonstration seeds than this decide nothing."""

SEEDS_FOR_SPECIFICITY = 7
"""Fewer than this decide nothing about specificity: a permutation of the pairing of five sets has a p-value of 1/120 at
least, which no correction for several claims leaves below 0.05."""

Over = Literal["demonstrations", "queries"]


@dataclass(frozen=True)
class Interval:
    """An interval, and what it rests on: all that a decision asks of it."""

    low: float
    high: float
    level: float
    """Such as 0.95."""
    over: Over
    n_seeds: int
    """Demonstration seeds that have a value."""

    @property
    def label(self) -> str:
        """What the interval is about, for tables and sentences."""
        about = "over demonstrations" if self.over == "demonstrations" else "conditional on these demonstrations"
        return f"{100 * self.level:.3g} % interval {about}"


class Verdict(StrEnum):
    """What the data say about the claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_SPECIFIC = "not specific"
    """What is the same with other demonstrations: shown, not for want of evidence."""
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Decision:
    """A verdict, and why."""

    verdict: Verdict
    reason: str
    """A clause for a sentence, such as `the 95 % interval over demonstrations includes 0`."""


@dataclass(frozen=True)
class Finding:
    """A sentence about one thing, which starts with its verdict in words; `claims.json` holds it, and page and terminal
    print it."""

    claim: str
    """The claim's name; empty where it sums up several findings, or there is none."""
    about: str
    """Method and task, or network, reference and world."""
    verdict: Verdict
    reason: str
    """Why it is undecided, as a clause; empty where it is decided."""
    sentence: str
    caveat: str = ""
    """What a reader must know of a verdict besides, as a clause that the sentence has too; mostly empty."""


def decide(interval: Interval | None, least: int = SEEDS_TO_DECIDE) -> Decision:
    """Whether an interval over demonstrations supports "the value is above zero", contradicts it, or neither.

    Contradicted: the whole interval is below zero. Undecided: it includes zero, there is none, it is over queries
    alone, or it rests on fewer than `least` seeds.
    """
    if interval is None:
        return Decision(Verdict.UNDECIDED, "there is no interval over demonstrations: it takes at least two seeds")
    if interval.over != "demonstrations":
        return Decision(Verdict.UNDECIDED, "the interval is conditional on these demonstrations")
    if interval.n_seeds < least:
        return Decision(Verdict.UNDECIDED, f"{interval.n_seeds} demonstration seeds, fewer than {least}")
    if interval.low > 0:
        return Decision(Verdict.SUPPORTED, f"the {interval.label} is above 0")
    if interval.high < 0:
        return Decision(Verdict.CONTRADICTED, f"the {interval.label} is below 0")
    return Decision(Verdict.UNDECIDED, f"the {interval.label} includes 0")
