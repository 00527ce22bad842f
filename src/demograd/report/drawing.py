"""How all charts look: colours that anyone tells apart, the same axes, one way to turn a chart into a drawing."""

from collections.abc import Sequence
from typing import Any, cast

import altair as alt

from demograd.report.section import Chart, Key
from demograd.report.svg import static_svg

COLOURS = ("#0b6fb8", "#c8500a", "#0a8a63", "#a8438a", "#8a6d00", "#4a55c4", "#7a4a2b", "#5b6770")
"""Told apart with any colour vision, and dark enough for thin lines on white."""
DASHES: tuple[list[int], ...] = ([], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4], [2, 5], [6, 2, 2, 2])
"""Lines that differ in colour differ in these too."""
WIDTH, HEIGHT = 430, 170
"""Of a plot that has half the page; `SMALL`: a third."""
SMALL = 270


def keys(labels: Sequence[str]) -> tuple[Key, ...]:
    """A legend: each label with its colour and dashes."""
    return tuple(
        Key(label, COLOURS[i % len(COLOURS)], " ".join(map(str, DASHES[(i + i // len(COLOURS)) % len(DASHES)])))
        for i, label in enumerate(labels)
    )


def drawn(chart: Any, title: str, description: str) -> Chart:
    """A chart of altair's as a drawing; `description` is for those who cannot see it."""
    styled = (
        chart.configure(font="sans-serif", background="white")
        .configure_view(stroke=None)
        .configure_axis(
            grid=True,
            gridColor="#e9ecef",
            domain=False,
            tickColor="#c5ccd3",
            labelColor="#3d4650",
            titleColor="#3d4650",
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
        )
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor="#3d4650")
    )
    return Chart(title, static_svg(cast(dict[str, Any], styled.to_dict(validate=False)), title, description))


def panel_header() -> alt.Header:
    """The heading of one panel of several."""
    return alt.Header(
        orient="top",
        labelAnchor="start",
        labelFontSize=13,
        labelFontWeight="bold",
        labelColor="#1c2630",
        labelPadding=6,
    )
