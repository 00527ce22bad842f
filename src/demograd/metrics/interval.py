"""An interval, apart from how it was found."""

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class ResampledInterval(Interval):
    """An interval, and all that is needed to draw it again."""

    n_queries: int
    resamples: int
    seed: int
