"""Charts as figures of a paper: their width, their text, their legend."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.report.paper.documents import fonts_of

from demograd.report.charts.drawing import keys
from demograd.report.charts.heat_map import heat_map
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.paper.exhibits import PaperFigure
from demograd.report.paper.figures import SCALE, Drawing, drawings, file_of
from demograd.report.section import Chart, Figure

LABELS = ("GD & <b>", "LCGD", "a method with a long name", "another method with a long name")


def _lines() -> Chart:
    points = pd.DataFrame([(label, x, x * n) for n, label in enumerate(LABELS) for x in range(4)])
    chart = line_chart(points.set_axis(["label", "x", "y"], axis=1), "Lines", Axis("x"), Axis("y"), keys(LABELS))
    assert chart is not None
    return chart


def _map() -> Chart:
    cells = pd.DataFrame([(x, y, x - y) for x in range(4) for y in range(4)], columns=["x", "y", "value"])
    return heat_map(cells, "Map", x="FT on set", y="ICL with set", value="score", colours="signed")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Drawing]:
    charts = (_lines(), _map())
    figure = PaperFigure("f", "Two charts.", Figure(charts, "", legend=keys(LABELS)), ("f-lines", "f-map"))
    assert file_of(figure) == ("f-all-2col", True)
    return {drawing.name: drawing for drawing in drawings(figure)}


def _size(svg: str) -> tuple[float, float, float]:
    """Inches across; pixels across and down."""
    inches = re.search(r'width="([\d.]+)in"', svg)
    box = re.search(r'viewBox="[-\d.]+ 0 ([\d.]+) ([\d.]+)"', svg)
    assert inches and box
    return float(inches[1]), float(box[1]), float(box[2])


def test_each_chart_is_drawn_for_one_column_and_two_and_all_of_them_together(pictures: dict[str, Drawing]) -> None:
    assert set(pictures) == {"f-lines-1col", "f-lines-2col", "f-map-1col", "f-map-2col", "f-all-2col"}
    for name, drawing in pictures.items():
        assert set(drawing.files) == {"pdf", "svg", "png"}
        assert _size(drawing.files["svg"].decode())[0] == (3.25 if "1col" in name else 6.75)


def test_text_is_seven_to_nine_points_at_the_printed_width(pictures: dict[str, Drawing]) -> None:
    for name, drawing in pictures.items():
        svg = drawing.files["svg"].decode()
        inches, across, _ = _size(svg)
        points = {72 * inches / across * float(size) for size in re.findall(r'font-size="([\d.]+)px"', svg)}
        assert points and 6.9 <= min(points) <= max(points) <= 9.1, name


def test_the_legend_is_in_the_drawing(pictures: dict[str, Drawing]) -> None:
    for drawing in pictures.values():
        svg = drawing.files["svg"].decode()
        assert all(label in svg for label in ("GD &amp; &lt;b&gt;", *LABELS[1:]))


def test_a_map_stays_square_and_fits_on_a_page(pictures: dict[str, Drawing]) -> None:
    for name in ("f-map-1col", "f-map-2col"):
        svg = pictures[name].files["svg"].decode()
        inches, across, down = _size(svg)
        assert inches * down / across < 5
        cells = re.findall(r'd="M[-\d.]+,[-\d.]+h([\d.]+)v([\d.]+)h-[\d.]+Z" fill="rgb', svg)
        assert len(cells) >= 12 and all(wide == high for wide, high in cells)


def test_fonts_are_embedded(pictures: dict[str, Drawing], tmp_path: Path) -> None:
    if shutil.which("pdffonts") is None:
        pytest.skip("pdffonts is not installed")
    for drawing in pictures.values():
        pdf = tmp_path / "drawing.pdf"
        pdf.write_bytes(drawing.files["pdf"])
        fonts = fonts_of(pdf)
        assert fonts and all(is_embedded and kind != "Type 3" for kind, is_embedded in fonts)


def test_scale_makes_twelve_pixels_eight_points() -> None:
    assert 12 * SCALE == 8
