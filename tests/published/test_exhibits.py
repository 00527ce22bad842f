"""The list of the papers' tables and figures: what it leads to is there, and no preset is left out."""

import math
import re
import shlex
from pathlib import Path

import pytest
from tests.report.fitting import fitting_sections
from typer.testing import CliRunner

from demograd import published
from demograd.cli.main import app
from demograd.study import SyntheticStudy, preset_groups, preset_names, read_study
from demograd.words import COLUMNS

ROWS = published.exhibits()
OF_NO_PAPER = {"quickstart", "claims", "rivals"}
"""Presets that are of several papers, or of none."""


def is_synthetic(preset: str) -> bool:
    return isinstance(read_study(preset), SyntheticStudy)


def test_what_a_row_leads_to_is_there(tmp_path: Path) -> None:
    for row in ROWS:
        assert row.command or row.missing, row.exhibit
        assert not row.sections or set(row.sections) <= fitting_sections(row.preset, tmp_path), row.exhibit
        assert row.table in ("", *published.table_names())
        assert bool(row.command) == bool(row.sections or row.file), row.exhibit
        assert row.preset in {"", *preset_names(), *preset_groups()}, row.exhibit
        assert set(row.measured) <= {*COLUMNS, "times"}, row.exhibit


def test_a_row_without_a_published_number_says_why() -> None:
    for row in ROWS:
        assert row.published or row.table or row.missing, f"{row.paper}, {row.exhibit}"


def test_no_two_rows_of_a_paper_have_one_name_and_each_paper_says_what_it_leaves_out() -> None:
    names = [(row.paper, row.exhibit) for row in ROWS]
    assert len(set(names)) == len(names)
    for paper in {row.paper for row in ROWS if row.preset in preset_names() and is_synthetic(row.preset)}:
        if paper != "Bar Natan":  # which has no other
            [rest] = [row for row in ROWS if row.paper == paper and row.exhibit == "All other figures and tables"]
            assert not rest.command and rest.missing.startswith("Not matched, because"), paper


def numbers_in(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text)]


def test_the_published_sizes_are_those_of_table_3() -> None:
    """A pair of each task, and then a length of each, in the order of the table."""
    [row] = [row for row in ROWS if row.table == "deutch2024-table3"]
    sizes, _, lengths = row.published.partition("“tokens”")
    table = published.table(row.table).pivot(index="task", columns="metric", values="mean")
    in_order = table.loc[list(dict.fromkeys(published.table(row.table)["task"]))]
    names = re.sub(r"\([^)]*\)", "", sizes)
    assert numbers_in(names) == in_order[["training_examples", "validation_examples"]].to_numpy().ravel().tolist()
    assert numbers_in(lengths) == in_order["mean_tokens"].to_list() and len(in_order) == 6


def test_ahns_losses_are_quoted_as_the_notebooks_print_them() -> None:
    """Adam's on new problems, L-BFGS's on its own and those of isotropic inputs apart, to two digits."""
    table = published.table("ahn2023-losses")
    quoted = {row.exhibit: row for row in ROWS if row.table == "ahn2023-losses"}
    assert len(quoted) == 3
    for exhibit, row in quoted.items():
        isotropic, method = "isotropic" in exhibit, "L-BFGS" if "L-BFGS" in exhibit else "Adam"
        of_row = table[(table["task"] == "isotropic") == isotropic]
        losses = of_row[(of_row["method"] == method) & (of_row["mean"] > 0)]["mean"]
        shown = [number for number in numbers_in(row.published) if number < 0.1]
        assert shown[:2] == [float(f"{losses.min():.1e}"), float(f"{losses.max():.1e}")], exhibit
        assert ("training loss" in row.published) == (method == "L-BFGS")
        assert bool(row.measured) == (method == "Adam" and not isotropic), "beside nothing else of ours"
    logarithm = table.loc[table["metric"] == "log_test_loss", "mean"].item()
    [adam] = [row for row in quoted.values() if row.measured]
    assert f"e^−{-logarithm}" in adam.published and f"{math.exp(logarithm):.1e}".replace("e-0", "e-") in adam.published


def test_every_preset_of_a_paper_is_in_the_list() -> None:
    listed = {row.preset for row in ROWS}
    grouped = {preset for group in preset_groups().values() for preset in group["studies"]}
    assert set(preset_names()) - grouped - OF_NO_PAPER <= listed
    assert set(preset_groups()) <= listed


@pytest.mark.parametrize("command", sorted({row.command for row in ROWS if row.command.startswith("demograd run")}))
def test_the_commands_of_the_list_have_options_that_there_are(command: str) -> None:
    options = [word for word in shlex.split(command)[3:] if word.startswith("--")]
    shown = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert all(re.search(rf"{option}\b", shown) for option in options)


def test_the_published_averages_are_those_of_the_table() -> None:
    """The one row that quotes numbers of a mean."""
    [row] = [row for row in ROWS if row.exhibit == "Table 2"]
    six = ["sst2", "sst5", "mr", "subj", "agnews", "cb"]
    means = [
        published.published_average(six, metric, method, "trained")
        for metric in ("sim_aou", "sim_am_delta")
        for method in ("GD", "LCGD")
    ]
    quoted = [float(number) for number in re.findall(r"0\.\d+", row.published)]
    assert quoted == pytest.approx([mean for mean in means if mean is not None], abs=0.0015)
