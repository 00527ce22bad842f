"""Rows under their own headings on one numeric axis: the frame that charts of dots and of bars share.

A heading stands above what it is about, so that long names fit on a phone, and no two labels overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import INK, LABEL

PANEL = 300
"""Pixels of the width of a plot on the first screen."""
HEADING, LINE = 21, 15
"""Pixels of the height of a heading, and of each line beneath it."""
_LETTER, _GAP = 5.4, 8
"""Pixels of a letter of the numbers, at most on average, and between a heading and them."""
_NUMBERS = 0.6 * PANEL
"""Pixels that numbers may fill, which can be the reason why there are none."""


@dataclass(frozen=True)
class Heading:
    """The heading of a row, and, at its right end, its numbers in words."""

    name: str
    numbers: str = ""


@dataclass(frozen=True)
class Rows:
    """Where headings and lines of a chart stand."""

    headings: Sequence[Heading]
    lines: int
    """Lines beneath each heading."""

    @property
    def height(self) -> int:
        """Pixels of the plot."""
        return len(self.headings) * self._step

    @property
    def _step(self) -> int:
        return HEADING + LINE * self.lines

    def y(self, row: int, line: int) -> float:
        """The middle of a line, in pixels from the top."""
        return row * self._step + HEADING + LINE * (line + 0.5)

    @property
    def place(self) -> alt.Y:
        """The encoding of a column `y` in pixels."""
        return alt.Y("y:Q", scale=alt.Scale(domain=[self.height, 0], nice=False, zero=False), axis=None)

    def texts(self) -> list[Any]:
        """The headings as layers."""
        data = pd.DataFrame(
            {
                "name": [heading.name for heading in self.headings],
                "numbers": [heading.numbers for heading in self.headings],
                "y": [row * self._step + HEADING / 2 + 3 for row in range(len(self.headings))],
            }
        )
        base = alt.Chart(data).encode(y=self.place)
        limit = max(PANEL - _GAP - _NUMBERS, PANEL - _GAP - _LETTER * data["numbers"].str.len().max())
        names = base.mark_text(align="left", fontSize=12, fontWeight="bold", color=INK, limit=limit)
        numbers = base.mark_text(align="right", fontSize=11, color=LABEL, limit=_NUMBERS)
        return [
            names.encode(x=alt.value(0), text="name:N"),
            numbers.encode(x=alt.value(PANEL), text="numbers:N"),
        ]
