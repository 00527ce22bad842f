"""Numbers as a reader sees them: value ± deviation, interval, and the count of missing values; never NaN."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor, isfinite, log10
from typing import Any

import pandas as pd

from demograd.statistics.verdict import Interval, Over

MINUS = "−"
_DIGITS = 3
"""Significant digits of a precise number, at least."""


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
    places: int = 3
    """Digits after the point, at least."""

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

    def _format(self, value: float) -> str:
        numbers = (self.value, self.std, self.low, self.high)
        largest = max((abs(x) for x in numbers if x is not None), default=0.0)
        if 0 < largest < 1e-4:  # a spread of probabilities over a vocabulary is this small, and not zero
            return scientific(value)
        if largest >= 10:
            return formatted(value, 1 if largest >= 100 else 2)
        bounds = [x for x in (self.low, self.high) if x]
        # a bound decides a claim by its sign, so it must not read as zero where it is not
        return formatted(
            value, next((places for places in range(self.places, 8) if all(round(x, places) for x in bounds)), 8)
        )


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


def precise_number_of(row: Mapping[Any, Any]) -> Number:
    """The same with three significant digits, at least: a claim may turn on 2 % of a loss."""
    plain = number_of(row)
    if not plain.value:
        return plain
    return replace(plain, places=min(max(3, _DIGITS - 1 - floor(log10(abs(plain.value)))), 7))


def formatted(value: float, places: int = 3) -> str:
    """`−0.013`, `1.2e+09`: with a true minus sign, and no negative zero."""
    text = f"{value:.{places}f}" if abs(value) < 1e7 else f"{value:.2g}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS) if "e" not in text else text


def percents(share: float) -> str:
    """`−1.2`, `35`: per cent with two significant digits, no power of ten."""
    return formatted(100 * share, 0 if abs(share) >= 0.0995 else 1)


def signed(value: float, places: int = 3) -> str:
    """`+0.013`, `−0.013`, `0.000`: of a difference."""
    text = formatted(value, places)
    return f"+{text}" if value > 0 and float(text) else text


def scientific(value: float) -> str:
    """`1.23e−6`."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits}e{int(exponent)}".replace("-", MINUS) if value else "0"


def _finite(value: Any) -> float | None:
    return None if pd.isna(value) or not isfinite(value) else float(value)


def _count(value: Any) -> int:
    return 0 if pd.isna(value) else int(value)


def written(number: Number) -> str:
    """`1.003 [0.998, 1.008]`, or the reason why there is no number; for synthetic runs, whose seeds are of training."""
    conditional = ", over test sequences alone" * number.marked
    return f"{number.value_text} {number.bounds}{conditional}".strip() if number.value is not None else number.text
