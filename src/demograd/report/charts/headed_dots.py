"""Dots with intervals on one axis: a heading per row, and beneath it its series, each of its own shape and colour."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from demograd.report.charts.dots import SHAPES
from demograd.report.charts.drawing import COLOURS, as_chart
from demograd.report.charts.headings import LINE, PANEL, Heading, Rows
from demograd.report.charts.lines import log_ticks
from demograd.report.section import Chart


def headed_dots(
    data: pd.DataFrame,
    title: str,
    headings: Sequence[Heading],
    series: Sequence[str],
    *,
    x: str,
    is_log: bool = False,
    is_one_line: bool = False,
    level: float | None = None,
) -> Chart:
    """A chart of `data`, with columns row (the place of its heading), series, value, low and high; `x` titles the axis.

    An interval that is missing is not drawn, nor one that a logarithm has no place for; a row without a value is its
    heading alone. Beneath a heading each series has a line of its own, or, with `is_one_line`, all have one.
    A single series may go without a name, and so without a legend. All are held against a `level`: a line.
    """
    present = data.dropna(subset=["value"])
    if is_log:
        present = present[present["value"] > 0]
        present = present.assign(low=present["low"].where(present["low"] > 0))
    rows = Rows(headings, 1 if is_one_line else len(series))
    lines = [0 if is_one_line else series.index(name) for name in present["series"]]
    places = [rows.y(int(row), line) for row, line in zip(present["row"], lines, strict=True)]
    base = alt.Chart(present.assign(y=places)).encode(y=rows.place)
    names, count = list(series), range(len(series))
    legend = alt.Legend(
        title=None, orient="bottom", columns=3 if is_one_line else 2, labelLimit=PANEL // 2, symbolSize=60
    )
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in count]),
        legend=legend if any(names) else None,
    )
    shape = alt.Shape(
        "series:N",
        scale=alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in count]),
        legend=legend if any(names) else None,
    )
    place = _axis(present, x, is_log)
    intervals = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", **place), x2="high:Q", color=colour)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("value:Q", **place), color=colour, shape=shape
    )
    layers: list[Any] = [intervals.transform_filter("isValid(datum.low) && isValid(datum.high)"), dots, *rows.texts()]
    if level is not None:
        line = base.transform_calculate(level=str(level)).mark_tick(orient="vertical", size=LINE, thickness=1.5)
        layers.insert(0, line.encode(x=alt.X("level:Q", **place), color=alt.value("#9aa3ad")))  # not through headings
    chart = alt.layer(*layers, width=PANEL, height=rows.height)
    words = "; ".join(f"{heading.name} {heading.numbers}".strip() for heading in headings)
    return as_chart(chart, title, f"{', '.join(filter(None, (x, *names)))}: {words}")


def _axis(present: pd.DataFrame, title: str, is_log: bool) -> dict[str, Any]:
    """Title, ticks and scale of the axis; a logarithmic one has few ticks, at round numbers."""
    ticks: dict[str, Any] = {"tickCount": 5}
    limits = alt.Scale(zero=True)
    if is_log:
        values = pd.concat([present[name] for name in ("value", "low", "high")]).dropna()
        limits = alt.Scale(type="log", padding=8)
        if values_of_ticks := log_ticks(values):
            ticks = {"values": list(values_of_ticks)}
    return {"title": title, "axis": alt.Axis(format=".3~g", labelOverlap=True, **ticks), "scale": limits}
