"""The list of the papers' tables and figures: what it leads to is there, and no preset is left out."""

import re
import shlex
from pathlib import Path

import pytest
from tests.report.fitting import fitting_sections
from typer.testing import CliRunner

from demograd import published
from demograd.cli.main import app
from demograd.study import preset_groups, preset_names
from demograd.words import COLUMNS

ROWS = published.exhibits()
OF_NO_PAPER = {"quickstart", "claims", "rivals"}
"""Presets that are of several papers, or of none."""


def test_what_a_row_leads_to_is_there(tmp_path: Path) -> None:
    for row in ROWS:
        assert row.command or row.missing, row.exhibit
        assert not row.sections or set(row.sections) <= fitting_sections(row.preset, tmp_path), row.exhibit
        assert row.table in ("", *published.table_names())
        assert bool(row.command) == bool(row.sections or row.file), row.exhibit
        assert row.preset in {"", *preset_names(), *preset_groups()}, row.exhibit
        assert set(row.measured) <= {*COLUMNS, "times"}, row.exhibit


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
