"""Forest plots: a row per comparison, its effect with its interval, its verdict as shape, colour and word."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, WIDTH, as_chart
from demograd.report.section import Chart

ROW = 40
"""Pixels of the height of a row: its words, and beneath them its interval."""
CHARACTERS = 70
"""Characters of a row's words that fit above its interval."""
FAR = 4
"""What is so many times farther from zero than most would press all others flat: it is cut, with an arrow."""
_BAND, _LINE, _TEXT, _GREY = "#e9ecef", "#9aa3ad", "#3d4650", "#5b6770"


@dataclass(frozen=True)
class Mark:
    """How the rows of one verdict look: with any colour vision, and in print."""

    shape: str
    colour: str
    filled: bool


NOT_COUNTED = "not counted"
"""Undecided because a gate is shut, whatever the numbers are; plain `undecided` is for want of data."""
MARKS = {
    "supported": Mark("circle", COLOURS[2], True),
    "contradicted": Mark("diamond", COLOURS[1], True),
    "not specific": Mark("square", COLOURS[0], True),
    "undecided": Mark("circle", _GREY, False),
    NOT_COUNTED: Mark("cross", _GREY, False),
}
"""Verdict → mark."""


@dataclass(frozen=True)
class Effect:
    """A row of a forest plot."""

    label: str
    words: str
    """Its verdict in words, and if there is room for it, why."""
    verdict: str
    """A key of `MARKS`."""
    value: float
    low: float | None
    high: float | None
    band: tuple[float, float] | None = None
    """Where the effect should lie, or counts as none; minus infinity and infinity leave it open."""


def forest_plot(effects: Sequence[Effect], title: str, axis: str, *, band: str = "", zero: bool = True) -> Chart:
    """A chart of these effects from top to bottom.

    Args:
        effects: at least one.
        title: of the chart.
        axis: the title of the axis, with its unit.
        band: what the shaded band is, in words, for the axis and for a screen reader.
        zero: whether there is a line at zero, which effects are held against.
    """
    low, high = _reach(effects, zero=zero)
    rows = pd.DataFrame(_row(place, effect, low, high) for place, effect in enumerate(effects))
    base, height = alt.Chart(rows), ROW * len(effects)
    numbers = alt.Axis(tickCount=5, format=".3~g", labelOverlap=True, grid=False)
    x: dict[str, Any] = {"title": f"{axis}; shaded: {band}" if band else axis, "axis": numbers}
    x |= {"scale": alt.Scale(domain=[low, high], nice=False, zero=False)}
    y: dict[str, Any] = {"axis": None, "scale": alt.Scale(domain=[len(effects), 0], nice=False)}
    middle = alt.Y("middle:Q", **y)
    colour, shape = (alt.Color("verdict:N", **_scale("colour")), alt.Shape("verdict:N", **_scale("shape")))
    bands = base.transform_filter("isValid(datum.band_low)").mark_rect(color=_BAND, opacity=1)
    layers: list[Any] = [
        bands.encode(x=alt.X("band_low:Q", **x), x2="band_high:Q", y=alt.Y("top:Q", **y), y2="bottom:Q")
    ]
    if zero:
        # beneath each row's words, not through them
        line = base.transform_calculate(zero="0").mark_rule(color=_LINE, strokeWidth=1.5)
        layers.append(line.encode(x=alt.X("zero:Q", **x), y=alt.Y("beneath:Q", **y), y2="bottom:Q"))
    for test, dash in (("!datum.is_dashed", [1, 0]), ("datum.is_dashed", [3, 3])):
        rules = base.transform_filter(f"isValid(datum.low) && {test}").mark_rule(strokeWidth=2, strokeDash=dash)
        layers.append(rules.encode(x=alt.X("low:Q", **x), x2="high:Q", y=middle, color=colour))
    for end, arrow in (("low", "triangle-left"), ("high", "triangle-right")):
        arrows = base.transform_filter(f"datum.is_{end}_cut").mark_point(shape=arrow, size=90, filled=True, opacity=1)
        layers.append(arrows.encode(x=alt.X(f"{end}:Q", **x), y=middle, color=colour))
    for test, is_filled in (("datum.is_filled", True), ("!datum.is_filled", False)):
        points = base.transform_filter(f"isValid(datum.value) && {test}").mark_point(
            size=90, filled=is_filled, opacity=1, strokeWidth=2
        )
        layers.append(points.encode(x=alt.X("value:Q", **x), y=middle, color=colour, shape=shape))
    above = base.encode(y=alt.Y("written:Q", **y))
    words: dict[str, Any] = {"baseline": "middle", "fontSize": 12, "color": _TEXT}
    label = above.mark_text(align="left", fontWeight="bold", **words).encode(x=alt.value(0), text="label:N")
    verdict = above.mark_text(align="right", **words).encode(x=alt.value(WIDTH), text="words:N")
    layers += [label, verdict]
    spoken = "; ".join(f"{effect.label}: {effect.words}" for effect in effects)
    return as_chart(alt.layer(*layers, width=WIDTH, height=height), title, f"{axis}, with 95 % intervals. {spoken}")


def _scale(name: str) -> dict[str, Any]:
    scale = alt.Scale(domain=list(MARKS), range=[getattr(mark, name) for mark in MARKS.values()])
    return {"scale": scale, "legend": None}


def _row(place: int, effect: Effect, low: float, high: float) -> dict[str, Any]:
    """What is drawn of an effect between the ends of the axis."""
    ends = [effect.value if bound is None else bound for bound in (effect.low, effect.high)]
    has_line = effect.low is not None or not low <= effect.value <= high
    band = effect.band and [min(max(end, low), high) for end in effect.band]
    mark = MARKS[effect.verdict]
    return {
        "label": _shortened(effect.label, CHARACTERS - len(effect.words)),
        "words": effect.words,
        "verdict": effect.verdict,
        "value": effect.value if low <= effect.value <= high else None,
        "low": min(max(ends[0], low), high) if has_line else None,
        "high": min(max(ends[1], low), high) if has_line else None,
        "is_low_cut": ends[0] < low,
        "is_high_cut": ends[1] > high,
        "is_filled": mark.filled,
        "is_dashed": effect.verdict == NOT_COUNTED,
        "band_low": band[0] if band else None,
        "band_high": band[1] if band else None,
        "top": place,
        "bottom": place + 1,
        "written": place + 0.26,
        "beneath": place + 0.46,
        "middle": place + 0.7,
    }


def _reach(effects: Sequence[Effect], *, zero: bool) -> tuple[float, float]:
    """The ends of the axis: all values, finite ends of bands, and bounds, but for those that are `FAR` out."""
    bands = [end for effect in effects for end in effect.band or () if isfinite(end)]
    centre = 0.0 if zero or not bands else sum(bands) / len(bands)
    farthest = [
        max(abs(end - centre) for end in (effect.value, effect.low, effect.high) if end is not None)
        for effect in effects
    ]
    limit = max(FAR * median(farthest), *(2 * abs(end - centre) for end in bands), 1e-12)
    ends = [end for effect in effects for end in (effect.value, effect.low, effect.high) if end is not None]
    ends = [min(max(end, centre - limit), centre + limit) for end in [*ends, *bands, centre]]
    spare = 0.04 * (max(ends) - min(ends)) or 1e-12
    return min(ends) - spare, max(ends) + spare


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: max(characters - 1, 1)].rstrip()}…"
