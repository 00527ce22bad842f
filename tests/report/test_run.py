"""A folder that is no run folder is refused in the user's words, and nothing is written into it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from demograd.errors import UserError
from demograd.report import read_run, write_report

MakeRun = Callable[..., Path]


@pytest.mark.parametrize("name", ["results.parquet", "study.yaml"])
def test_a_folder_without_results_or_study_is_no_run_folder(run: MakeRun, name: str) -> None:
    folder = run(layers=1)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"has no {name}"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_missing_column_is_named(run: MakeRun) -> None:
    path = run(layers=1) / "results.parquet"
    pd.read_parquet(path).drop(columns=["ci_low", "status"]).to_parquet(path)
    with pytest.raises(UserError, match="lacks the columns ci_low, status"):
        read_run(path.parent)


def test_a_run_without_a_finished_cell_has_no_report(run: MakeRun) -> None:
    path = run(layers=1) / "results.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    with pytest.raises(UserError, match="no rows"):
        read_run(path.parent)


@pytest.mark.parametrize(
    "name, content",
    [("results.parquet", "x"), ("study.yaml", "a: ["), ("study.yaml", "[1]"), ("validity.json", "{"),
     ("validity.json", '[{"passed": 1}]'), ("provenance.json", "[1]")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(run: MakeRun, name: str, content: str) -> None:
    folder = run(layers=1)
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=name):
        read_run(folder)
