"""Stacked bars: the parts of a row one behind the other, distinct in colour and named in the order of a legend."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, WIDTH, as_chart
from demograd.report.section import Chart

LABELS = 190
"""Pixels of the width of rows' labels; what is longer is cut."""
_ROW = 24


def bar_chart(data: pd.DataFrame, rows: Sequence[str], title: str, axis: str) -> Chart:
    """A chart of `data`, with columns metric (the row), status (part of a bar) and value; `rows`: in their order."""
    statuses = list(dict.fromkeys(data["status"]))
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=400)
    colours = alt.Scale(domain=statuses, range=[COLOURS[i % len(COLOURS)] for i in range(len(statuses))])
    chart = (
        alt.Chart(data)
        .mark_bar(height={"band": 0.65}, stroke="#ffffff", strokeWidth=1)
        .encode(
            x=alt.X("value:Q", title=axis, axis=alt.Axis(tickCount=5, format=".3~g")),
            y=alt.Y("metric:N", title=None, sort=list(rows), axis=alt.Axis(labelLimit=LABELS, grid=False, ticks=False)),
            color=alt.Color("status:N", scale=colours, legend=legend, sort=statuses),
            order=alt.Order("status:N"),
        )
        .properties(width=WIDTH - 130, height=_ROW * len(rows))
    )
    spoken = "; ".join(f"{row['metric']}, {row['status']}: {row['value']:.3g}" for row in data.to_dict("records"))
    return as_chart(chart, title, f"{axis}. {spoken}")
