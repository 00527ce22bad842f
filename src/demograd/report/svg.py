"""A chart as inline SVG: static, titled for screen readers, and safe whatever its texts say."""

import re
import zlib
from typing import Any
from xml.etree import ElementTree

import vl_convert

_SVG = "http://www.w3.org/2000/svg"
_DRAWING = {
    "svg", "g", "path", "text", "tspan", "line", "rect", "circle", "defs", "clipPath", "title", "desc",
    "linearGradient", "stop",
}  # fmt: skip
"""The elements that a static chart consists of."""
ElementTree.register_namespace("", _SVG)


def static_svg(specification: dict[str, Any], title: str, description: str) -> str:
    """Vega-Lite's drawing of a specification, fit to be put into a page.

    What is not drawing (scripts, links, images, event handlers) cannot come out of a chart, and would not pass here.
    Several drawings share a page, so ids are made unique.
    """
    specification = specification | {"config": specification.get("config", {}) | {"aria": False}}
    text = vl_convert.vegalite_to_svg(specification)
    root = ElementTree.fromstring(text)
    prefix = re.sub(r"\W+", "-", title.lower()) + f"-{zlib.crc32(text.encode()):08x}"
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{_SVG}}}")
        unsafe = [key for key in element.attrib if key.startswith("on") or key.endswith("href")]
        if name not in _DRAWING or unsafe:
            raise ValueError(f"a static chart has no element {name} {unsafe}")
        _make_ids_unique(element, prefix)
    for tag, content in (("desc", description), ("title", title)):
        label = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{prefix}-{tag}"})
        label.text = content
        root.insert(0, label)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    return ElementTree.tostring(root, encoding="unicode")


def _make_ids_unique(element: ElementTree.Element, prefix: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif value.startswith("url(#"):
            element.set(key, value.replace("url(#", f"url(#{prefix}-"))
