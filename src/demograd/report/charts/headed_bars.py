"""Bars with intervals from zero, a heading per bar, and a level that all are held against."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, LABEL, as_chart
from demograd.report.charts.headings import HEADING, LINE, PANEL, Heading, Rows
from demograd.report.section import Chart

_LEVEL = COLOURS[1]


def headed_bars(
    data: pd.DataFrame, title: str, headings: Sequence[Heading], *, x: str, most: float, level: float | None, name: str
) -> Chart:
    """A chart of `data`, with columns row (the place of its heading), value, low and high; `x` titles the axis.

    `most`: the end of the axis. `level`: where a dashed line crosses each bar, called `name`; None: there is none.
    """
    rows = Rows(headings, 1)
    present = data.dropna(subset=["value"])
    present = present.assign(y=[rows.y(int(row), 0) for row in present["row"]])
    scale = alt.Scale(domain=[0, most], nice=False)
    ticks = alt.Axis(format=".3~g", tickCount=5)
    base = alt.Chart(present).encode(y=rows.place)
    bars = base.mark_bar(orient="horizontal", size=9, color=COLOURS[0], opacity=0.55).encode(
        x=alt.X("value:Q", title=x, axis=ticks, scale=scale)
    )
    bounded = base.transform_filter("isValid(datum.low) && isValid(datum.high)")
    intervals = bounded.mark_rule(strokeWidth=2, color=LABEL).encode(x="low:Q", x2="high:Q")
    layers: list[Any] = [bars, intervals]
    if level is not None:
        layers += _level(rows, level, name, scale)
    chart = alt.layer(*layers, *rows.texts(), width=PANEL, height=rows.height)
    words = "; ".join(f"{heading.name} {heading.numbers}".strip() for heading in headings)
    return as_chart(chart, title, f"{x}: {words}" + (f"; {name} is {level:g}" if level is not None else ""))


def _level(rows: Rows, level: float, name: str, scale: alt.Scale) -> list[Any]:
    """A dashed line across each bar, which no heading crosses, and its name on top."""
    marks = pd.DataFrame(
        {
            "x": level,
            "y": [rows.y(row, 0) - LINE / 2 for row in range(len(rows.headings))],
            "below": [rows.y(row, 0) + LINE / 2 for row in range(len(rows.headings))],
        }
    )
    base = alt.Chart(marks).encode(x=alt.X("x:Q", scale=scale), y=rows.place)
    lines = base.mark_rule(strokeDash=[4, 2], strokeWidth=2, color=_LEVEL).encode(y2="below:Q")
    above = alt.Chart(marks.head(1)).mark_text(baseline="middle", fontSize=11, color=_LEVEL, text=name)
    return [lines, above.encode(x=alt.X("x:Q", scale=scale), y=alt.value(HEADING / 2 + 3))]
