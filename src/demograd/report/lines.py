"""A line chart: a line per label, told apart by colour and dashes, with intervals where there are any."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd

from demograd.report.drawing import HEIGHT, SMALL, drawn
from demograd.report.section import Chart, Key


@dataclass(frozen=True)
class Axis:
    """One direction of a chart."""

    title: str
    scale: Literal["linear", "log"] = "linear"
    zero: bool = False
    """Whether zero is to be seen."""
    order: tuple[str, ...] = ()
    """The values in their order, where they are names and not numbers."""
    whole: bool = False
    """Whether there is nothing between whole numbers."""
    ticks: tuple[float, ...] = ()
    """Where there are ticks; empty: wherever they fit."""


def line_chart(
    data: pd.DataFrame, title: str, x: Axis, y: Axis, legend: Sequence[Key], *, width: int = SMALL, by: str = "x"
) -> Chart | None:
    """A chart of `data`, with columns label, x, y, and, where there are intervals, low and high.

    Rows without x or y are left out, and so are those that a logarithmic axis has no place for; None if none is left.
    A line goes through its points in the order of `by`.
    """
    drawn_from = ["label", "x", "y", "low", "high", "position", by]
    known = data[[name for name in dict.fromkeys(drawn_from) if name in data]].dropna(subset=["x", "y"])
    for name, axis in (("x", x), ("y", y)):
        known = known[known[name] > 0] if axis.scale == "log" else known
    if known.empty:
        return None
    present = [key for key in legend if key.label in set(known["label"])]
    names = [key.label for key in present]
    dashes = [[float(part) for part in key.dash.split()] or [1, 0] for key in present]
    base = alt.Chart(known).encode(
        x=alt.X("x:N" if x.order else "x:Q", **_encoded(x)),
        color=alt.Color("label:N", scale=alt.Scale(domain=names, range=[key.colour for key in present]), legend=None),
    )
    line = base.mark_line(strokeWidth=2, point={"size": 28, "filled": True, "opacity": 1, "strokeWidth": 0}).encode(
        y=alt.Y("y:Q", **_encoded(y)),
        order=alt.Order(f"{by}:Q") if not x.order else alt.Order("position:Q"),
        strokeDash=alt.StrokeDash("label:N", scale=alt.Scale(domain=names, range=dashes), legend=None),
    )
    layers: list[Any] = [line]
    if "low" in known and known["low"].notna().any():
        bounded = known.dropna(subset=["low", "high"])
        bounded = bounded[bounded["low"] > 0] if y.scale == "log" else bounded
        rules = base.properties(data=bounded).mark_rule(strokeWidth=1.2, opacity=0.7)
        layers.append(rules.encode(y=alt.Y("low:Q", **_encoded(y)), y2="high:Q"))
    chart = alt.layer(*layers).properties(width=width, height=HEIGHT)
    described = f"{y.title} against {x.title}, a line per {', '.join(names)}"
    return drawn(chart, title, described)


def _encoded(axis: Axis) -> dict[str, Any]:
    if axis.order:
        return {
            "title": axis.title,
            "sort": list(axis.order),
            "axis": alt.Axis(labelAngle=0, labelLimit=90, grid=False),
        }
    scale = alt.Scale(type="log", nice=False) if axis.scale == "log" else alt.Scale(zero=axis.zero)
    ticks: dict[str, Any] = {"values": list(axis.ticks)} if axis.ticks else {"tickCount": 5}
    ticks |= {"tickMinStep": 1} if axis.whole else {}
    return {
        "title": axis.title,
        "scale": scale,
        "axis": alt.Axis(format=",.6~r" if axis.whole else ".3~g", labelOverlap=True, **ticks),
    }
