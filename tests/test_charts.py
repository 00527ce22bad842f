"""Charts of a run for notebooks and papers: what the page draws, chosen by what it is about, changed and saved."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pytest
from tests.report.conftest import run as run  # the fixture
from tests.report.synthetic.rows import WORLD, write_synthetic_run

from demograd import charts, open_run
from demograd.errors import UserError
from demograd.files import write_table, write_yaml
from demograd.report.section import SECTIONS, Section, section

Run = Callable[..., Path]


@pytest.fixture
def folder(run: Run) -> Path:
    """A run of GD and LCGD on trained weights, with matrices of three sets."""
    path = run(seeds=3, weights=("trained",))
    world = {"model": "smollm2-135m", "weights": "trained", "initialisation": 0, "task": "mr", "labels": "gold"}
    pairs = [
        {**world, "k": 16, "method": method, "learning_rate": rate, "metric": metric, "setting": "FT", "step": None}
        | {"icl_seed": row, "ft_seed": column, "value": float(row == column)}
        for method, rate in (("GD", 0.001), ("LCGD", 0.003))
        for metric in ("sim_aou", "sim_am_delta")
        for row in range(3)
        for column in range(3)
    ]
    write_table(path / "matching.parquet", pd.DataFrame(pairs))
    return path


def _titles(chart: Any) -> list[str]:
    """The titles of all plots, in their order."""
    content = chart.to_dict()
    if parts := content.get("vconcat") or content.get("concat"):
        return [title for part in parts for title in _titles(alt.Chart.from_dict(part))]
    return [title] if isinstance(title := content.get("title"), str) else []


def test_matching_has_a_map_for_each_method_and_score(folder: Path) -> None:
    assert _titles(charts.matching(folder)) == ["SimAOU: GD", "SimAOU: LCGD", "SimAM_Δ: GD", "SimAM_Δ: LCGD"]
    assert _titles(charts.matching(folder, metric="sim_aou", centred=False)) == ["SimAOU: GD", "SimAOU: LCGD"]


def test_one_plot_is_a_plain_chart_that_can_be_changed_and_saved(folder: Path, tmp_path: Path) -> None:
    chart = charts.matching(folder, metric="sim_am_delta", method="GD")
    assert isinstance(chart, alt.LayerChart)
    chart = chart.properties(width=123, title="mine")
    content = chart.to_dict()
    assert (content["width"], content["title"]) == (123, "mine")
    rows = [row for rows in content["datasets"].values() for row in rows]
    assert {(row["x"] == row["y"], row["value"] > 0) for row in rows} == {(True, True), (False, False)}
    for kind, beginning in (("pdf", b"%PDF"), ("svg", b"<svg"), ("png", b"\x89PNG")):
        chart.save(tmp_path / f"figure.{kind}")
        assert (tmp_path / f"figure.{kind}").read_bytes().startswith(beginning)


def test_plots_with_a_legend_have_it_beneath_and_their_size_is_an_option(folder: Path, tmp_path: Path) -> None:
    whole = charts.layers(folder, metric="sim_aou", width=321, height=99)
    assert isinstance(whole, alt.VConcatChart)
    plots, legend = whole.to_dict()["vconcat"]
    assert [plot["spec"]["width"] for plot in plots["concat"]] == [321]
    assert [plot["spec"]["height"] for plot in plots["concat"]] == [99]
    labels = legend["encoding"]["y"]["sort"]
    assert labels == ["GD", "LCGD", "GD on the other sets", "LCGD on the other sets"]
    whole.save(tmp_path / "layers.svg")
    svg = (tmp_path / "layers.svg").read_text(encoding="utf-8")
    assert all(label in svg for label in labels)


def test_depth_is_of_small_networks_and_layers_are_of_a_language_model(folder: Path, tmp_path: Path) -> None:
    networks = write_synthetic_run(tmp_path / "networks")
    assert _titles(charts.depth(networks)) == [WORLD]
    with pytest.raises(UserError, match="nothing to draw of “Layer by layer”"):
        charts.layers(networks)
    with pytest.raises(UserError, match="nothing to draw of “Against the number of layers”"):
        charts.depth(folder)


def test_a_chart_can_be_of_a_run_or_its_folder_and_of_some_methods_alone(folder: Path) -> None:
    by_folder = charts.layers(str(folder), method=["LCGD"])
    legend = by_folder.to_dict()["vconcat"][-1]["encoding"]["y"]["sort"]
    assert legend == ["LCGD", "LCGD on the other sets"]
    assert _titles(charts.layers(open_run_of(folder))) == _titles(by_folder) == ["SimAOU", "SimAM_Δ"]


def open_run_of(folder: Path) -> Any:
    """The run of a folder whose study is small enough to be read."""
    write_yaml(folder / "study.yaml", {"name": "small", "model": "smollm2-135m", "tasks": ["mr"]})
    return open_run(folder)


def test_a_section_of_a_users_own_is_drawn_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("demograd.report.section"), "SECTIONS", dict(SECTIONS))

    @section("Mine")
    def mine_section(run: Any) -> Section | None:
        return None

    with pytest.raises(UserError, match="nothing to draw of “Mine”"):
        charts.section(folder, "mine")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda folder: charts.section(folder, "layer"), "Unknown section of the page 'layer'.*Did you mean layer"),
        (lambda folder: charts.layers(folder, metric="sim_ao"), "Unknown metric 'sim_ao'.*Did you mean sim_aou"),
        (lambda folder: charts.layers(folder, metric="auc"), r"nothing to draw of “Layer by layer” \(metric='auc'\)"),
        (lambda folder: charts.layers(folder, methods="GD"), "Unknown column 'methods'.*Did you mean method"),
        (lambda folder: charts.layers(folder, method="Adam"), "Unknown method 'Adam'.*one of GD, LCGD"),
        (lambda folder: charts.rates(folder), "nothing to draw of “Against the learning rate”"),
        (lambda folder: charts.layers(folder / "nowhere"), "has no study.yaml"),
    ],
)
def test_what_cannot_be_drawn_is_said(folder: Path, draw: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw(folder)


def test_claims_keep_the_comparisons_that_are_about_what_is_asked_for() -> None:
    comparisons = [
        {"task": "mr", "left_side": {"method": method}, "right_side": 0.0, "compared": method}
        for method in ("GD", "LCGD", None)
    ]
    record = charts._claims_about({"claims": [{"name": "claim", "comparisons": comparisons}]}, "method", ["GD"])
    assert [comparison["compared"] for comparison in record["claims"][0]["comparisons"]] == ["GD", None]
