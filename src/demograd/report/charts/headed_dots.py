"""Dots with intervals on one axis: a heading per row, and beneath it a line per series, of its own shape and colour."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from demograd.report.charts.dots import SHAPES
from demograd.report.charts.drawing import COLOURS, as_chart
from demograd.report.charts.headings import PANEL, Heading, Rows
from demograd.report.section import Chart


def headed_dots(data: pd.DataFrame, title: str, headings: Sequence[Heading], series: Sequence[str], *, x: str) -> Chart:
    """A chart of `data`, with columns row (the place of its heading), series, value, low and high; `x` titles the axis.

    An interval that is missing is not drawn; a row without a value is its heading alone.
    """
    present = data.dropna(subset=["value"])
    rows = Rows(headings, len(series))
    places = [rows.y(int(row), series.index(name)) for row, name in zip(present["row"], present["series"], strict=True)]
    base = alt.Chart(present.assign(y=places)).encode(y=rows.place)
    names, count = list(series), range(len(series))
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in count]),
        legend=alt.Legend(title=None, orient="bottom", columns=2, labelLimit=PANEL // 2, symbolSize=60),
    )
    shape = alt.Shape("series:N", scale=alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in count]))
    axis = alt.Axis(format=".3~g", tickCount=5)
    intervals = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=x, axis=axis, scale=alt.Scale(zero=True)), x2="high:Q", color=colour
    )
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q", color=colour, shape=shape)
    layers: list[Any] = [intervals.transform_filter("isValid(datum.low) && isValid(datum.high)"), dots, *rows.texts()]
    chart = alt.layer(*layers, width=PANEL, height=rows.height)
    words = "; ".join(f"{heading.name} {heading.numbers}".strip() for heading in headings)
    return as_chart(chart, title, f"{x}, {', '.join(names)}: {words}")
