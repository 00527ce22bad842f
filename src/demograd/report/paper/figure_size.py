"""The width of a drawing: its plots are stretched until all of it is as wide as a column, and its text is not."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from demograd.report.charts.drawing import static_svg
from demograd.report.section import Chart

SMALLEST, LARGEST = 10.5, 13.5
"""Pixels of text: 7 and 9 pt where a pixel is two thirds of a point."""
HIGHEST = 330
"""Pixels of a plot that stays square."""
_PLAIN = str.maketrans({"‖": "|", "ᵀ": "^T"})
_TOLERANCE = 0.01
"""Of the width."""
_TRIES = 4

Specification = dict[str, Any]


def at_width(specification: Specification, target: float, chart: Chart) -> str:
    """The drawing as SVG, so many pixels wide; narrower plots that have to stay square stand in the middle.

    Args:
        specification: parts beneath each other (`vconcat`): the plots, and perhaps their legend, which is no wider.
        chart: title and description, for screen readers.
    """
    legible = _legible(specification)
    plots = legible | {"vconcat": legible["vconcat"][:1]}
    stretch = 1.0
    for _ in range(_TRIES):
        svg = static_svg(_stretched(plots, stretch), chart.title, chart.description)
        gap = target - _box(svg)[2]
        if abs(gap) <= _TOLERANCE * target:
            break
        width = _plots_width(plots) * stretch
        stretch *= max(0.2, (width + gap) / width)
    if len(legible["vconcat"]) > 1:
        svg = static_svg(_stretched(legible, stretch), chart.title, chart.description)
    return _centred(svg, target)


def sized(svg: str, width: float, unit: str = "") -> str:
    """The drawing with a physical width; its height follows."""
    root = ElementTree.fromstring(svg)
    _, _, across, down = _box(svg)
    root.set("width", f"{width:g}{unit}")
    root.set("height", f"{width * down / across:.4f}{unit}")
    return ElementTree.tostring(root, encoding="unicode")


def _legible(part: Any) -> Any:
    """The same with all text between `SMALLEST` and `LARGEST`; its font lacks what `_PLAIN` spells."""
    if isinstance(part, list):
        return [_legible(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: _legible_setting(key, value) for key, value in part.items()}


def _legible_setting(key: str, value: Any) -> Any:
    if key in ("fontSize", "labelFontSize", "titleFontSize") and isinstance(value, int | float):
        return min(max(value, SMALLEST), LARGEST)
    if key in ("title", "text") and isinstance(value, str):
        return value.translate(_PLAIN)
    return value if key == "datasets" else _legible(value)


def _stretched(part: Any, factor: float) -> Any:
    """The same with wider plots; what is as high as it is wide stays so, up to `HIGHEST`."""
    if isinstance(part, list):
        return [_stretched(item, factor) for item in part]
    if not isinstance(part, dict):
        return part
    unchanged = ("datasets", "data", "config")
    changed = {key: value if key in unchanged else _stretched(value, factor) for key, value in part.items()}
    if _is_plot(part):
        is_square = part.get("height") == part["width"]
        changed["width"] = min(part["width"] * factor, HIGHEST) if is_square else part["width"] * factor
        changed["height"] = changed["width"] if is_square else part.get("height")
    return changed


def _is_plot(part: Mapping[str, Any]) -> bool:
    """Whether this part has a width that can be stretched; a legend has pixels in place of data."""
    is_legend = part.get("data") == {"values": [{}]}
    return isinstance(part.get("width"), int | float) and ("mark" in part or "layer" in part) and not is_legend


def _plots_width(part: Mapping[str, Any]) -> float:
    """The pixels of plots beside each other."""
    if _is_plot(part):
        return float(part["width"])
    if "vconcat" in part:
        return max(map(_plots_width, part["vconcat"]))
    beside = part.get("hconcat") or part.get("concat", [])[: part.get("columns")]
    if beside:
        return sum(map(_plots_width, beside))
    return _plots_width(part["spec"]) if "spec" in part else 1.0


def _centred(svg: str, target: float) -> str:
    """The drawing with as much room on its left as on its right, where it is too narrow."""
    left, top, across, down = _box(svg)
    if across >= target * (1 - _TOLERANCE):
        return svg
    root = ElementTree.fromstring(svg)
    root.set("viewBox", f"{left - (target - across) / 2:g} {top:g} {target:g} {down:g}")
    return ElementTree.tostring(root, encoding="unicode")


def _box(svg: str) -> list[float]:
    """Left, top, width and height in pixels."""
    return [float(number) for number in ElementTree.fromstring(svg).attrib["viewBox"].split()]
