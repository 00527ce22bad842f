"""Dot plots: a row per label, a dot with its interval for each series in it, distinct in colour and shape."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, WIDTH, as_chart
from demograd.report.charts.lines import log_ticks
from demograd.report.section import Chart
from demograd.statistics.number import Number

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right")
"""Shapes of series: two that differ in colour differ in shape too."""
LABELS = 150
"""Pixels of the width of rows' labels; what is longer is cut."""
_SMALL = 1e-3
"""Axes of smaller values are labelled with powers of ten."""
_ROW, _BESIDE = 26, 12
"""Pixels of a row with one series, and of each further one in it."""


@dataclass(frozen=True)
class Dot:
    """One number of a dot plot."""

    label: str
    """Of its row."""
    number: Number
    series: str = ""


def dot_chart(
    dots: Iterable[Dot],
    title: str,
    axis: str,
    *,
    scale: Literal["linear", "log"] = "linear",
    zero: bool = False,
    level: float | None = None,
) -> Chart | None:
    """A chart of these dots, rows from top to bottom; None if none has a number.

    Numbers that a logarithmic axis has no place for are left out, and of intervals what lies there.

    Args:
        dots: in the order of rows and series.
        title: of the chart.
        axis: the title of the axis, with its unit.
        scale: of the axis.
        zero: whether the axis reaches to zero.
        level: a value that all are held against: a line.
    """
    data = pd.DataFrame(_point(dot, scale) for dot in dots if dot.number.value is not None)
    data = data[data["value"] > 0] if scale == "log" and len(data) else data
    if data.empty:
        return None
    labels, series = (list(dict.fromkeys(data[name])) for name in ("label", "series"))
    form = ".2~e" if data["value"].abs().max() < _SMALL else ".3~g"
    ticks: dict[str, Any] = {"tickCount": 4}
    if scale == "log" and (values := log_ticks(pd.concat([data[name] for name in ("value", "low", "high")]).dropna())):
        ticks = {"values": list(values)}
    numbers = alt.Axis(format=form, labelOverlap=True, **ticks)
    limits = alt.Scale(type="log", padding=8) if scale == "log" else alt.Scale(zero=zero, padding=8)
    x: dict[str, Any] = {"title": axis, "axis": numbers, "scale": limits}
    y = alt.Y("label:N", title=None, sort=labels, axis=alt.Axis(labelLimit=LABELS, grid=False, ticks=False))
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, columns=3, labelLimit=300)
    shown: dict[str, Any] = {"legend": legend if len(series) > 1 else None, "sort": series}
    is_shared = bool(data.groupby("label")["series"].nunique().gt(1).any())
    beside: dict[str, Any] = {"yOffset": alt.YOffset("series:N", sort=series)} if is_shared else {}
    base = alt.Chart(data).encode(
        y=y,
        **beside,
        color=alt.Color("series:N", scale=alt.Scale(domain=series, range=_cycled(COLOURS, len(series))), **shown),
    )
    layers: list[Any] = []
    if level is not None:
        line = alt.Chart(pd.DataFrame({"level": [level]})).mark_rule(color="#9aa3ad", strokeWidth=1.5)
        layers.append(line.encode(x=alt.X("level:Q", **x)))
    if data["low"].notna().any():
        rules = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
        layers.append(rules.encode(x=alt.X("low:Q", **x), x2="high:Q"))
    shape = alt.Shape("series:N", scale=alt.Scale(domain=series, range=_cycled(SHAPES, len(series))), **shown)
    layers.append(base.mark_point(size=60, filled=True, opacity=1).encode(x=alt.X("value:Q", **x), shape=shape))
    height = len(labels) * (_ROW + _BESIDE * (len(series) - 1) * is_shared)
    spoken = "; ".join(
        f"{', '.join(filter(None, (point['label'], point['series'])))}: {point['text']}"
        for point in data.to_dict("records")
    )
    return as_chart(alt.layer(*layers, width=WIDTH - 110, height=height), title, f"{axis}. {spoken}")


def _point(dot: Dot, scale: str) -> dict[str, Any]:
    number = dot.number
    low = number.low if scale == "linear" or number.low is None or number.low > 0 else number.value
    return {
        "label": dot.label,
        "series": dot.series,
        "value": number.value,
        "low": low,
        "high": number.high,
        "text": number.with_bounds,
    }


def _cycled(values: tuple[str, ...], n: int) -> list[str]:
    return [values[i % len(values)] for i in range(n)]
