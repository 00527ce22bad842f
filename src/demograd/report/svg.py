"""A chart as inline SVG: static, titled for screen readers, and safe whatever its texts say."""

from typing import Any
from xml.etree import ElementTree

import vl_convert

_SVG = "http://www.w3.org/2000/svg"
NUMBER = "chart-number"
"""Stands for the number that tells the ids of one drawing of a page from those of another."""
_DRAWING = {
    "svg",
    "g",
    "path",
    "text",
    "tspan",
    "line",
    "rect",
    "circle",
    "defs",
    "clipPath",
    "title",
    "desc",
    "linearGradient",
    "stop",
}
"""The elements that a static chart consists of."""
ElementTree.register_namespace("", _SVG)


def static_svg(specification: dict[str, Any], title: str, description: str) -> str:
    """Vega-Lite's drawing of a specification, fit to be put into a page.

    What is not drawing (scripts, links, images, event handlers) cannot come out of a chart, and would not pass here.
    Several drawings share a page, so ids begin with `NUMBER`, which whoever puts them there replaces.
    """
    specification = specification | {"config": specification.get("config", {}) | {"aria": False}}
    text = vl_convert.vegalite_to_svg(specification)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{_SVG}}}")
        unsafe = [key for key in element.attrib if key.startswith("on") or key.endswith("href")]
        if name not in _DRAWING or unsafe:
            raise ValueError(f"a static chart has no element {name} {unsafe}")
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


def _number_ids(element: ElementTree.Element) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{NUMBER}-{value}")
        elif value.startswith("url(#"):
            element.set(key, value.replace("url(#", f"url(#{NUMBER}-"))
