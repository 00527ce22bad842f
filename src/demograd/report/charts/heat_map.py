"""Heat maps: one number per row and column of a grid, as colours that also read in grey."""

from typing import Any, Literal

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import SMALL, as_chart, panel_header
from demograd.report.section import Chart

Colours = Literal["signed", "linear", "log"]
FRAME = "#1c2630"
"""The line around cells on the diagonal."""


def heat_map(
    data: pd.DataFrame,
    title: str,
    *,
    x: str,
    y: str,
    value: str,
    colours: Colours,
    width: int = SMALL - 40,
    height: int = SMALL - 40,
    downwards: bool = False,
    absent: str = "#ffffff",
    reach: float | None = None,
    is_diagonal_framed: bool = False,
) -> Chart:
    """A chart of `data`, with integer columns x and y, and value; `x`, `y` and `value` are the titles of the axes.

    `signed`: from blue below zero over white to orange above it, as far to both sides. Cells without a value have
    the colour `absent` and are not drawn, nor are those that a logarithm has no place for.
    With a column `panel` there is a map for each of its values, in the same colours; `downwards`: rows begin on top.
    `reach`: the value at the ends of the signed colours, so that several maps share them; by default the largest.
    What lies beyond has the colour of the end.
    """
    present = data.dropna(subset=["value"])
    present = present[present["value"] > 0] if colours == "log" else present
    base = alt.Chart(present).encode(
        x=alt.X("x:O", title=x, axis=_axis(data["x"]), scale=_places(data["x"])),
        y=alt.Y("y:O", title=y, axis=_axis(data["y"]), scale=_places(data["y"], backwards=not downwards)),
    )
    chart: Any = base.mark_rect().encode(
        color=alt.Color(
            "value:Q",
            scale=_scale(present["value"], colours, reach),
            legend=alt.Legend(title=value, orient="bottom", gradientLength=SMALL - 70, format=".3~g", tickCount=4),
        )
    )
    if is_diagonal_framed:
        frames = base.transform_filter("datum.x === datum.y").mark_rect(fillOpacity=0, stroke=FRAME, strokeWidth=1)
        chart = alt.layer(chart, frames)
    chart = chart.properties(width=width, height=height, view=alt.ViewBackground(fill=absent))
    if "panel" in present:
        chart = chart.encode(
            column=alt.Column("panel:N", title=None, sort=list(dict.fromkeys(present["panel"])), header=panel_header())
        )
    low, high = present["value"].min(), present["value"].max()
    return as_chart(chart, title, f"{value} by {x} and {y}: from {low:.3g} to {high:.3g}")


def _axis(values: pd.Series) -> alt.Axis:
    """An axis with about six labels, however many rows there are."""
    step = max(1, round((values.max() - values.min() + 1) / 6))
    shown = [label for label in range(int(values.min()), int(values.max()) + 1) if label % step == 0]
    return alt.Axis(values=shown, labelAngle=0, grid=False, ticks=False)


def _places(values: pd.Series, *, backwards: bool = False) -> alt.Scale:
    """A scale with a place for every row, also for one without a value."""
    return alt.Scale(domain=sorted(set(values.tolist()), reverse=backwards))


def _scale(values: pd.Series, colours: Colours, reach: float | None) -> alt.Scale:
    if colours == "signed":
        reach = max(values.abs().max() if reach is None else reach, 1e-12)
        domain: dict[str, Any] = {"domain": [-reach, reach], "range": ["#0b4f8a", "#ffffff", "#b8430a"]}
        return alt.Scale(**domain, interpolate="lab", clamp=True)
    return alt.Scale(scheme="viridis", type="log" if colours == "log" else "linear", nice=False)
