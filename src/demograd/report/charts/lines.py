"""Line charts: a line per label, distinct in colour and dashes, with intervals where there are any."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Any, Literal

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import HEIGHT, SMALL, as_chart
from demograd.report.section import Chart, Key

MOST_WHOLE_TICKS = 12
"""Up to so many whole numbers have a tick each."""
WITHIN = 1e6
"""Losses so many times larger than the median of their chart (networks that explode) or smaller (zero but for rounding)
would press all others flat."""


@dataclass(frozen=True)
class Axis:
    """The horizontal or the vertical axis of a chart."""

    title: str
    scale: Literal["linear", "log"] = "linear"
    zero: bool = False
    """Whether the axis reaches to zero."""
    order: tuple[str, ...] = ()
    """The values in their order, if they are names and not numbers."""
    whole: bool = False
    """Whether values are whole numbers."""
    ticks: tuple[float, ...] = ()
    """Values with a tick; empty: Vega-Lite chooses."""


def line_chart(
    data: pd.DataFrame, title: str, x: Axis, y: Axis, legend: Sequence[Key], *, width: int = SMALL, by: str = "x"
) -> Chart | None:
    """A chart of `data`, with columns label, x, y, and, where there are intervals, low and high.

    Rows without x or y are left out, and so are those that a logarithmic axis has no place for; None if none is left.
    A line goes through its points in the order of `by`.
    """
    columns = dict.fromkeys(["label", "x", "y", "low", "high", "position", by])
    points = data[[name for name in columns if name in data]].dropna(subset=["x", "y"])
    for name, axis in (("x", x), ("y", y)):
        points = points[points[name] > 0] if axis.scale == "log" else points
    if points.empty:
        return None
    present = [key for key in legend if key.label in set(points["label"])]
    names = [key.label for key in present]
    dashes = [[float(part) for part in key.dash.split()] or [1, 0] for key in present]
    base = alt.Chart(points).encode(
        x=alt.X("x:N" if x.order else "x:Q", **_encoding(x)),
        color=alt.Color("label:N", scale=alt.Scale(domain=names, range=[key.colour for key in present]), legend=None),
    )
    line = base.mark_line(strokeWidth=2, point={"size": 28, "filled": True, "opacity": 1, "strokeWidth": 0}).encode(
        y=alt.Y("y:Q", **_encoding(y)),
        order=alt.Order(f"{by}:Q") if not x.order else alt.Order("position:Q"),
        strokeDash=alt.StrokeDash("label:N", scale=alt.Scale(domain=names, range=dashes), legend=None),
    )
    layers: list[Any] = [line]
    if "low" in points and points["low"].notna().any():
        bounded = points.dropna(subset=["low", "high"])
        bounded = bounded[bounded["low"] > 0] if y.scale == "log" else bounded
        rules = base.properties(data=bounded).mark_rule(strokeWidth=1.2, opacity=0.7)
        layers.append(rules.encode(y=alt.Y("low:Q", **_encoding(y)), y2="high:Q"))
    chart = alt.layer(*layers, width=width, height=HEIGHT)
    return as_chart(chart, title, f"{y.title} against {x.title}, a line per {', '.join(names)}")


def _encoding(axis: Axis) -> dict[str, Any]:
    if axis.order:
        names = alt.Axis(labelAngle=0, labelLimit=90, grid=False)
        return {"title": axis.title, "sort": list(axis.order), "axis": names}
    scale = alt.Scale(type="log", nice=False) if axis.scale == "log" else alt.Scale(zero=axis.zero)
    ticks: dict[str, Any] = {"values": list(axis.ticks)} if axis.ticks else {"tickCount": 5}
    ticks |= {"tickMinStep": 1} if axis.whole else {}
    numbers = alt.Axis(format=",.6~r" if axis.whole else ".3~g", labelOverlap=True, **ticks)
    return {"title": axis.title, "scale": scale, "axis": numbers}


def with_ticks(axis: Axis, values: pd.Series) -> Axis:
    """The axis with ticks for these values: at whole numbers that were measured, and few on a logarithm."""
    numbers = values.dropna()
    if axis.scale == "log":
        return replace(axis, ticks=log_ticks(numbers[numbers > 0]))
    if axis.whole and numbers.nunique() <= MOST_WHOLE_TICKS:
        return replace(axis, ticks=tuple(sorted(set(numbers))))
    return axis


def log_ticks(values: pd.Series) -> tuple[float, ...]:
    """Ticks at powers of ten, or, if there are fewer than three, at 1, 2 and 5 times those; empty, so that Vega-Lite
    chooses, if these are fewer than three too."""
    if values.empty:
        return ()
    low, high = float(values.min()), float(values.max())
    powers = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    for factors in ((1,), (1, 2, 5)):
        ticks = tuple(float(f"{factor * power:.3g}") for power in powers for factor in factors)
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        if len(inside) >= 3:
            return inside
    return ()


def reach(losses: pd.Series) -> tuple[float, float]:
    """The smallest and the largest loss that a logarithmic chart of these can show."""
    median = float(losses.median())
    return median / WITHIN, median * WITHIN
