"""Numbers as a reader sees them: value ± deviation, interval, and the count of missing values; never NaN.

One rule for all: a number is written to the digits that it is known to. These are one or two significant digits of half
the width of its interval (or of its deviation, if it has no interval), after the rule of the Particle Data Group
(Navas 2024, Review of Particle Physics, Introduction, §5.3): two where they would read 10 to 35, one where 36 to 99.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, inf, isfinite, log10
from typing import Any

import pandas as pd

from demograd.statistics.verdict import Interval, Over

MINUS = "−"
DIGITS = 3
"""Significant digits of a number of which no one knows how exact it is."""
MOST_DIGITS = 8
"""Significant digits of the most exact one."""
SMALL = 1e-4
"""What is smaller is written with a power of ten: a spread of probabilities over a vocabulary is, and is not zero."""
LARGE = 1e7
"""So is what is as large; a number and its bounds have one notation."""


@dataclass(frozen=True)
class Number:
    """A value of the results with its interval, counts and status."""

    value: float | None
    """None where missing."""
    std: float | None
    """Over demonstration sets; None under three."""
    low: float | None
    high: float | None
    conditional: bool
    """Whether the interval holds for these demonstrations only."""
    n: int
    n_missing: int
    n_seeds: int
    status: str

    @property
    def text(self) -> str:
        """`0.251 ± 0.012`, or a word for why there is no number."""
        if self.value is None:
            return "missing" if self.status == "ok" else self.status
        value = self._format(self.value)
        return value if self.std is None else f"{value} ± {self._format(self.std)}"

    @property
    def value_text(self) -> str:
        """`text` without the deviation."""
        return self.text.split(" ± ")[0]

    @property
    def bounds(self) -> str:
        """`[0.236, 0.266]`, or nothing."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"[{self._format(self.low)}, {self._format(self.high)}]"

    @property
    def with_bounds(self) -> str:
        """`0.251 [0.236, 0.266]`, or a word for why there is no number."""
        return f"{self.value_text} {self.bounds}".strip()

    @property
    def signed(self) -> str:
        """`+0.013 [−0.002, +0.028]`, of a difference; without its interval, if there is none."""
        if self.value is None:
            return self.text
        bounds = [self._format(bound, sign=True) for bound in (self.low, self.high) if bound is not None]
        return self._format(self.value, sign=True) + (f" [{', '.join(bounds)}]" if len(bounds) == 2 else "")

    @property
    def marked(self) -> bool:
        """Whether there is an interval, and it must be called conditional."""
        return self.conditional and bool(self.bounds)

    @property
    def missing(self) -> str:
        """`50 of 250 missing`, of the values that this number is a mean of, or nothing."""
        total = self.n + self.n_missing
        if not self.n_missing or self.value is None or not total:
            return ""
        return f"{'⚠ most values missing: ' * self.is_mostly_missing}{self.n_missing:,} of {total:,} missing"

    @property
    def is_mostly_missing(self) -> bool:
        """Whether more than half of its values are missing."""
        return self.value is not None and self.n_missing > self.n

    @property
    def interval(self) -> Interval | None:
        """The interval with its level, and the demonstration sets that it rests on, for `decide`."""
        if self.value is None or self.low is None or self.high is None:
            return None
        over: Over = "queries" if self.conditional else "demonstrations"
        return Interval(self.low, self.high, 0.95, over, self.n_seeds)

    def _format(self, value: float, *, sign: bool = False) -> str:
        places = self._places
        if self._is_scientific:
            text = scientific(value, places)
        else:
            text = formatted(value, _place(value) if self._is_hidden(value) else places)
        return f"+{text}" if sign and value > 0 and text.strip("0.") else text

    @property
    def _is_scientific(self) -> bool:
        """Whether all its parts are written with a power of ten: one notation for all."""
        largest = max((abs(x) for x in (self.value, self.std, self.low, self.high) if x), default=1.0)
        tiny = [bound for bound in (self.low, self.high) if bound and abs(bound) < SMALL]
        return not SMALL <= largest < LARGE or any(map(self._is_hidden, tiny))

    def _is_hidden(self, value: float) -> bool:
        """Whether it is a bound that rounding makes zero; it decides a claim by its sign, so it must not read so."""
        return value in (self.low, self.high) and value != 0 and not round(value, self._places)

    @property
    def _places(self) -> int:
        """Digits after the point of value, deviation and bounds; below zero: digits before it that are rounded away."""
        numbers = [abs(x) for x in (self.value, self.low, self.high) if x]
        if not numbers and self.low == self.high == 0:
            return 0  # nothing but zeros
        largest = max(numbers, default=1.0)
        uncertainty = self.std if self.low is None or self.high is None else (self.high - self.low) / 2
        if not uncertainty:
            places = _place(largest) + DIGITS - 1
            return places if largest >= LARGE else max(places, 0)
        return min(places_of(uncertainty), _place(largest) + MOST_DIGITS - 1)


NOT_MEASURED = Number(None, None, None, None, False, 0, 0, 0, "not measured")


def number_of(row: Mapping[Any, Any]) -> Number:
    """The number of one row of the results."""
    return Number(
        value=_finite(row["value"]),
        std=_finite(row["std"]),
        low=_finite(row["ci_low"]),
        high=_finite(row["ci_high"]),
        conditional=row["interval"] == "conditional",
        n=_count(row["n"]),
        n_missing=_count(row["n_missing"]),
        n_seeds=_count(row["n_seeds"]),
        status=str(row["status"]),
    )


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Number:
    """A number of which nothing but its interval is known, such as a share in per cent; NaN is none."""
    return Number(_finite(value), None, _finite(low), _finite(high), False, 0, 0, 0, "ok")


def places_of(uncertainty: float) -> int:
    """Digits after the point of a number that is known to this uncertainty: 3 for 0.021, 2 for 0.039, −1 for 250."""
    place = _place(uncertainty)
    return place + (uncertainty * 10.0**place < 3.55)


def _place(value: float) -> int:
    """The digit after the point at which the first significant one stands: 2 for 0.021, −2 for 250."""
    return -floor(log10(abs(value)))


def formatted(value: float, places: int = 3) -> str:
    """`−0.013`, `1.23e9`: with a true minus sign, and no negative zero; below zero, `places` are rounded away."""
    if LARGE <= abs(value) < inf:
        return scientific(value)
    rounded = round(value, places) if places < 0 else value
    text = f"{rounded:.{max(places, 0)}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percentage(share: float | None, low: float | None = None, high: float | None = None) -> Number:
    """A share in per cent."""
    return estimate(*(None if part is None else 100 * part for part in (share, low, high)))


def percents(share: float) -> str:
    """`−1.2`, `35`: a share without an interval in per cent, to two significant digits, with no power of ten."""
    return formatted(100 * share, 0 if abs(share) >= 0.0995 else 1)


def signed(value: float, places: int = 3) -> str:
    """`+0.013`, `−0.013`, `0.000`: of a difference."""
    text = formatted(value, places)
    return f"+{text}" if value > 0 and float(text) else text


def scientific(value: float, places: int | None = None) -> str:
    """`1.23e−6`; to so many digits after the point of the number itself, or to three significant ones."""
    if not value:
        return "0"
    digits = DIGITS - 1 if places is None else max(places - _place(value), 0)
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def p_value(value: float) -> str:
    """`0.016`, or below a thousandth `1.23e−6`."""
    return formatted(value) if value >= 0.001 else scientific(value)


def _finite(value: Any) -> float | None:
    return None if pd.isna(value) or not isfinite(value) else float(value)


def _count(value: Any) -> int:
    return 0 if pd.isna(value) else int(value)


def written(number: Number) -> str:
    """`1.003 [0.998, 1.008]`, or the reason why there is no number; for synthetic runs, whose seeds are of training."""
    conditional = ", over test sequences alone" * number.marked
    return f"{number.with_bounds}{conditional}"
