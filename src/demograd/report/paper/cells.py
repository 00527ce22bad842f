"""Cells of a paper's tables: a number with its deviation or interval, and the marks behind it."""

from collections.abc import Sequence
from dataclasses import replace

from demograd.report.paper.exhibits import Position
from demograd.report.section import Entry, entry
from demograd.statistics.number import Number, p_value

SYMBOLS = ("†", "‡", "§", "¶", "a", "b", "c", "d", "e", "f", "g", "h")
"""Marks in the order in which they are given out."""


def cell(number: Number) -> Entry:
    """A number with its deviation, or, where it has none, its interval; what is missing by name and count."""
    if number.value is None:
        reason, _, count = number.text.partition(" (")
        return Entry(reason, under=(f"({count}",) if count else (), tone="absent", number=number)
    plain = entry(number)
    left_out = [] if number.is_mostly_missing else [number.missing]
    left_out += [number.bounds] if number.std else []
    keeps = [line for line in plain.under if line not in left_out]
    return replace(plain, under=tuple(keeps))


class Marks:
    """A symbol for each meaning, in the order in which they come up."""

    def __init__(self) -> None:
        self._symbols: dict[str, str] = {}
        self._p_values: dict[str, list[float]] = {}

    def symbol(self, meaning: str, p_value: float | None = None) -> str:
        """The symbol that stands for this meaning; of the p-values it comes with, the note has the largest."""
        if p_value is not None:
            self._p_values.setdefault(meaning, []).append(p_value)
        place = len(self._symbols)
        return self._symbols.setdefault(meaning, SYMBOLS[place] if place < len(SYMBOLS) else f"({place})")

    @property
    def notes(self) -> list[str]:
        """What each symbol means."""
        return [f"{symbol} {meaning}{self._p(meaning)}." for meaning, symbol in self._symbols.items()]

    def _p(self, meaning: str) -> str:
        values = self._p_values.get(meaning)
        if not values:
            return ""
        largest = max(values)
        return f" (corrected p {'≤' if len(values) > 1 else '='} {p_value(largest)})"


def add_marks(placed: dict[Position, str], position: Position, symbols: Sequence[str]) -> None:
    """Put symbols behind a cell, where there are any."""
    if symbols:
        placed[position] = ",".join(symbols)
