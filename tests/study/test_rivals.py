"""A study of rivals beside GD, from its file to its rows and its matching."""

from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings

from demograd.report import write_report
from demograd.study import make_study, run_study

RIVALS = ("LoRA", "prefix", "readout GD", "kernel regression", "induction", "task vector", "function vector")


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = small_settings(
        small_model,
        weights=["trained"],
        k=2,
        seeds=[0, 1],
        queries=4,
        controls=[],
        methods=["GD", "task vector", "readout GD"],
        learning_rates={"GD": [0.01], "readout GD": [0.01]},
    )
    return run_study(make_study(settings), tmp_path_factory.mktemp("runs") / "run").folder.path


def values(folder: Path, metric: str, method: str) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "results.parquet")
    return rows[(rows.metric == metric) & (rows.method == method) & rows.layer.isna() & (rows.setting == "FT")]


def test_rates_of_a_vector_need_no_sweep(folder: Path) -> None:
    assert set(values(folder, "sim_labels", "task vector").learning_rate) == {1.0}


def test_each_method_changes_predictions(folder: Path) -> None:
    for method in ("GD", "task vector", "readout GD"):
        rows = values(folder, "sim_labels", method)
        assert len(rows) and set(rows.status) == {"ok"} and rows.value.between(-1, 1).all()


def test_what_changes_nothing_inside_has_no_update_and_is_counted(folder: Path) -> None:
    rows = values(folder, "sim_aou", "readout GD")
    assert len(rows) and rows.value.isna().all() and set(rows.status) == {"missing"}
    assert values(folder, "sim_aou", "GD").value.notna().all()


def test_its_predictions_are_matched_all_the_same(folder: Path) -> None:
    rows = pd.read_parquet(folder / "results.parquet")
    matched = rows[rows.metric.str.contains("specific") | (rows.setting == "matching")]
    assert {"GD", "task vector", "readout GD"} <= set(matched[matched.metric.str.contains("sim_labels")].method)


def test_the_page_names_them(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "task vector" in page and "readout GD" in page


def test_the_command_line_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "methods") == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in RIVALS)
