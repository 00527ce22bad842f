"""The style of all charts, and a chart as inline SVG: static, titled for screen readers, and safe."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from demograd.report.section import Chart, Key

COLOURS = ("#0b6fb8", "#c8500a", "#0a8a63", "#a8438a", "#8a6d00", "#4a55c4", "#7a4a2b", "#5b6770")
"""Colours of lines: distinct with any colour vision, and dark enough for thin lines on white."""
DASHES: tuple[list[int], ...] = ([], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4], [2, 5], [6, 2, 2, 2])
"""Dashes of lines: two lines that differ in colour differ in their dashes too."""
WIDTH, HEIGHT = 430, 170
"""Pixels of a plot that has half of the page's width."""
SMALL = 270
"""Pixels of the width of a plot that has a third of it."""
NUMBER = "chart-number"
"""A placeholder in ids: the page puts the drawing's number there, so that no two drawings share an id."""
INK, LABEL = "#1c2630", "#3d4650"
"""Colours of headings, and of the texts of axes and legends."""
_IN_THE_DARK = {
    **dict(
        zip(
            COLOURS,
            ("#5aaef0", "#f28b4b", "#3fc79a", "#e08cc8", "#d9b83a", "#9aa4ff", "#cf9d7a", "#a3afb9"),
            strict=True,
        )
    ),
    LABEL: "#c3ccd5",
    "#e9ecef": "#2b343e",
    "#c5ccd3": "#4a5560",
    "#9aa3ad": "#8994a0",
    "#ddd": "#4a5560",
    "#4c78a8": "#5aaef0",
}
"""Colour → what stands for it on a dark page, of equal hue, and as far from the ground. Maps keep their own ground."""
_TEXT_IN_THE_DARK = {INK: "#e6ebf0", "#000": "#e6ebf0"}
_STYLE: dict[str, Any] = {
    "font": "sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "grid": True,
        "gridColor": "#e9ecef",
        "domain": False,
        "tickColor": "#c5ccd3",
        "labelColor": LABEL,
        "titleColor": LABEL,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelColor": LABEL},
}
_SVG = "http://www.w3.org/2000/svg"
_SHAPES = ("svg", "g", "path", "text", "tspan", "line", "rect", "circle", "defs", "clipPath", "linearGradient", "stop")
_ELEMENTS = {*_SHAPES, "title", "desc"}
"""The elements that a static chart consists of."""
ElementTree.register_namespace("", _SVG)


def keys(labels: Sequence[str]) -> tuple[Key, ...]:
    """A legend: each label with its colour and dashes."""
    return tuple(
        Key(label, COLOURS[i % len(COLOURS)], " ".join(map(str, DASHES[(i + i // len(COLOURS)) % len(DASHES)])))
        for i, label in enumerate(labels)
    )


def as_chart(chart: Any, title: str, description: str) -> Chart:
    """A chart of altair as a drawing; a screen reader reads `description` aloud."""
    chart.config = alt.Config(**_STYLE)  # in place: each `configure` of altair copies the chart with all its layers
    return Chart(title, chart, description)


def panel_header() -> alt.Header:
    """The heading of one panel of several."""
    return alt.Header(
        orient="top",
        labelFontSize=13,
        labelFontWeight="bold",
        labelColor=INK,
        labelPadding=6,
        labelAnchor="start",
    )


def static_svg(specification: dict[str, Any], title: str, description: str) -> str:
    """The drawing that Vega-Lite makes of a specification, safe to put into a page.

    Scripts, links, images and event handlers cannot come out of a chart, and are refused. Several drawings share a
    page, so ids begin with `NUMBER`, which the page replaces.

    Raises:
        ValueError: the drawing has an element or an attribute that a static chart has not.
    """
    on_the_page = {"aria": False, "background": "transparent"}
    specification = specification | {"config": specification.get("config", {}) | on_the_page}
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(specification))
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{_SVG}}}")
        unsafe = [key for key in element.attrib if key.startswith("on") or key.endswith("href")]
        if name not in _ELEMENTS or unsafe:
            raise ValueError(f"a static chart has no element {name} {unsafe}")
        for key in [key for key in element.attrib if key == "role" or key.startswith("aria-")]:
            del element.attrib[key]  # the drawing is one image, whose marks have no names of their own
        _number_ids(element)
    for tag, content in (("desc", description), ("title", title)):
        label = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{NUMBER}-{tag}"})
        label.text = content
        root.insert(0, label)
    root.set("role", "img")
    root.set("aria-labelledby", f"{NUMBER}-title {NUMBER}-desc")
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    return ElementTree.tostring(root, encoding="unicode")


def rules_in_the_dark() -> str:
    """The style rules that put the colours of drawings and legends in the place of those of a light page."""
    rules = [
        f'svg [{kind}="{light}"] {{ {kind}: {dark}; }}'
        for light, dark in _IN_THE_DARK.items()
        for kind in ("fill", "stroke")
    ]
    rules += [f'svg text[fill="{light}"] {{ fill: {dark}; }}' for light, dark in _TEXT_IN_THE_DARK.items()]
    return "@media screen and (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}"


def _number_ids(element: ElementTree.Element) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{NUMBER}-{value}")
        elif value.startswith("url(#"):
            element.set(key, value.replace("url(#", f"url(#{NUMBER}-"))
