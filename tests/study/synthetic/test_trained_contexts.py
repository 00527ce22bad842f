"""Networks that are trained, and references that are tuned, for each of several context lengths."""

from pathlib import Path

import pandas as pd
import pytest
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd import UserError
from demograd.report import write_report
from demograd.study import run_study

CHANGES = {
    "worlds": {"linear": {"dimension": 2, "noise": 0.1}},
    "networks": {"linear": {}},
    "references": ["GD", "Bayes"],
    "trained_contexts": [2, 5, 9],
    "seeds": [0, 1],
    "orders": None,
    "sparsity": False,
    "scales": [],
    "mixes": [],
    "instances": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("contexts")
    return run_study(study(parent, REGRESSION, **CHANGES), parent / "run").folder.path


def test_each_context_has_networks_and_references_of_its_own(folder: Path) -> None:
    table = pd.read_parquet(folder / "results.parquet")
    losses = overall(table, "loss_by_context")
    assert set(losses.k) == {5} and set(losses["at"]) == {2, 5, 9}
    for name in ("linear", "GD, 1 step", "Bayes"):
        of_learner = losses[(losses.model == name) | (losses.method == name)].set_index("at").value
        assert len(of_learner) == 3 and of_learner[2] > of_learner[9]
    assert len(list((folder / "cells").glob("linear-linear-seed*.safetensors"))) == 6


def test_at_the_studys_own_context_they_are_the_studys_own(folder: Path) -> None:
    table = pd.read_parquet(folder / "results.parquet")
    own = overall(table, "loss").query("k == 5").reset_index(drop=True)
    again = overall(table, "loss_by_context").query("at == 5").reset_index(drop=True)
    assert set(own.value) == set(again.value)


def test_elsewhere_a_retrained_network_is_another_than_the_studys_there(folder: Path) -> None:
    table = pd.read_parquet(folder / "results.parquet")
    moved = overall(table, "loss").query("k == 3")  # the study's own networks, with three examples
    assert len(moved) == 3 and not set(moved.value) & set(overall(table, "loss_by_context").value)


def test_the_page_draws_a_line_over_them(folder: Path) -> None:
    assert "Against the number of examples in training" in write_report(folder).read_text(encoding="utf-8")


def test_a_linear_system_has_no_contexts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trained_contexts"):
        study(tmp_path, SYSTEM, trained_contexts=[4])
