"""Charts as figures of a paper: at the width of one or two columns, with their legend, as PDF, SVG and PNG."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import vl_convert

from demograd.report.charts.drawing import NUMBER
from demograd.report.paper.exhibits import PaperFigure, lettered
from demograd.report.paper.figure_size import Specification, at_width, sized
from demograd.report.section import Chart, Figure, Key

WIDTHS = {"1col": 3.25, "2col": 6.75}
"""Inches of one column of a two-column page, and of both."""
SCALE = 2 / 3
"""Points per pixel of a drawing: text of 12 pixels is 8 pt."""
POINTS = 72
"""Per inch."""
PNG_DOTS = 300
"""Per inch."""
_LINE, _ROW, _CHARACTER = 26, 18, 6.6
"""Pixels of a legend: a sample of a line, a row, and a character of 12 pixels on average."""
_APART = {"scale": {"color": "independent", "strokeDash": "independent"}}
"""Each chart has colours of its own, as on the page."""
_BESIDE = 3
"""Small plots that stand beside each other on two columns."""


@dataclass(frozen=True)
class Drawing:
    """A figure's file contents, by their endings."""

    name: str
    files: Mapping[str, bytes]


def drawings(figure: PaperFigure) -> Iterator[Drawing]:
    """Each chart at both widths; of several charts, all of them in one drawing over two columns besides."""
    charts, legend = figure.figure.charts, figure.figure.legend
    for chart, name in zip(charts, figure.chart_names, strict=True):
        for width, inches in WIDTHS.items():
            yield _drawing(f"{name}-{width}", _with_legend([chart], _plot(chart), legend, inches), inches, chart)
    if len(charts) > 1:
        inches = WIDTHS["2col"]
        together = Chart(figure.caption, None, "; ".join(chart.description for chart in charts))
        specification = _with_legend(charts, _side_by_side(figure.figure), legend, inches)
        yield _drawing(f"{figure.name}-all-2col", specification, inches, together)


def file_of(figure: PaperFigure) -> tuple[str, bool]:
    """The drawing that a document shows of a figure, and whether it takes two columns."""
    if len(figure.figure.charts) > 1:
        return f"{figure.name}-all-2col", True
    return f"{figure.chart_names[0]}-1col", False


def _plot(chart: Chart) -> Specification:
    """A chart's specification as a part of another, without what only a whole one can have."""
    specification = chart.drawing.to_dict(validate=False)
    return {key: value for key, value in specification.items() if key not in ("config", "$schema", "datasets")}


def _side_by_side(figure: Figure) -> Specification:
    """All charts of a figure, lettered, in rows."""
    columns = min(len(figure.charts), _BESIDE if figure.small else 2)
    plots = [
        _plot(chart) | {"title": {"text": title, "anchor": "start", "fontSize": 12, "offset": 8}}
        for chart, title in zip(figure.charts, lettered(figure), strict=True)
    ]
    return {"concat": plots, "columns": columns, "spacing": 16, "resolve": _APART}


def _with_legend(charts: Sequence[Chart], plot: Specification, legend: Sequence[Key], inches: float) -> Specification:
    """The whole specification: the plot of these charts, beneath it the legend, and the charts' data and style."""
    wholes = [chart.drawing.to_dict(validate=False) for chart in charts]
    datasets = {name: rows for whole in wholes for name, rows in whole.get("datasets", {}).items()}
    style = {key: wholes[0][key] for key in ("config", "$schema") if key in wholes[0]}
    parts = [plot, *_legend(legend, POINTS * inches / SCALE)]
    return {**style, "datasets": datasets, "vconcat": parts, "spacing": 10, "resolve": _APART}


def _legend(legend: Sequence[Key], width: float) -> list[Specification]:
    """The keys of a legend as a plot of its own, in as many rows as they need."""
    if not legend:
        return []
    samples, labels = [], []
    left, row = 0.0, 0
    for key in legend:
        wide = _LINE + 6 + _CHARACTER * len(key.label) + 16
        if left and left + wide > width - 40:
            left, row = 0.0, row + 1
        y = row * _ROW + _ROW / 2
        samples.append(_sample(key, left, y))
        labels.append(_label(key, left + _LINE + 6, y))
        left += wide
    return [{"data": {"values": [{}]}, "layer": [*samples, *labels], "width": 60, "height": (row + 1) * _ROW}]


def _sample(key: Key, left: float, y: float) -> Specification:
    mark: Specification = {"type": "rule", "color": key.colour, "strokeWidth": min(key.width, 2.2)}
    if key.dash:
        mark["strokeDash"] = [float(part) for part in key.dash.split()]
    ends = {"x": left, "x2": left + _LINE, "y": y}
    return {"mark": mark, "encoding": {channel: {"value": pixels} for channel, pixels in ends.items()}}


def _label(key: Key, left: float, y: float) -> Specification:
    text = {"type": "text", "text": key.label, "align": "left", "baseline": "middle", "fontSize": 12}
    return {"mark": text | {"x": left, "y": y, "color": "#1c2630", "limit": 0}, "encoding": {}}


def _drawing(name: str, specification: Specification, inches: float, chart: Chart) -> Drawing:
    svg = at_width(specification, POINTS * inches / SCALE, chart).replace(NUMBER, name)
    points = sized(svg, POINTS * inches)
    files = {
        "svg": sized(svg, inches, "in").encode(),
        "pdf": vl_convert.svg_to_pdf(points),
        "png": vl_convert.svg_to_png(points, ppi=PNG_DOTS),
    }
    return Drawing(name, files)
