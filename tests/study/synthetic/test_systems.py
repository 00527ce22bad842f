"""Probes and few-shot regression of networks that were trained on linear systems, in a study's table."""

from pathlib import Path

import pandas as pd
import pytest
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd import UserError
from demograd.report import write_report
from demograd.study import run_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("systems")
    networks = {**SYSTEM["networks"], "mesa-layer": {"attention": "mesa", "initial_scale": 0.3}}
    changes = {"networks": networks, "probes": True, "few_shot": True, "instances": 1, "seeds": [0, 1]}
    return run_study(study(parent, SYSTEM, **changes), parent / "run").folder.path


def test_probes_are_of_the_tokens_before_each_layer_and_after_the_last(folder: Path) -> None:
    probes = overall(pd.read_parquet(folder / "results.parquet"), "probe_error")
    assert set(probes.method) == {"preconditioned inputs", *(f"the state {ago} before" for ago in (1, 2, 3))}
    for network, layers in (("linear, 2 layers", 2), ("mesa-layer", 1)):
        of_network = probes[(probes.model == network) & probes.step.isna()]
        assert set(of_network["at"]) == set(range(layers + 1))
        last_state = of_network[of_network.method == "the state 1 before"].set_index("at").value
        assert last_state[0] < 1e-9 and of_network[of_network.method == "the state 2 before"].value.min() > 0.05


def test_before_the_first_layer_training_changes_nothing(folder: Path) -> None:
    probes = overall(pd.read_parquet(folder / "results.parquet"), "probe_error")
    first = probes[probes["at"] == 0].groupby(["model", "method"]).value
    assert set(probes.step.dropna()) == {1} and (first.nunique() == 1).all()


def test_few_shot_losses_are_there_for_everyone_and_least_where_pairs_are_last_state(folder: Path) -> None:
    losses = overall(pd.read_parquet(folder / "results.parquet"), "few_shot_loss")
    assert set(losses["at"]) == {0, 1, 2}
    assert set(losses.model.dropna()) == {"linear, 2 layers", "mesa-layer"}
    last = losses[losses["at"] == 2].dropna(subset=["method"]).set_index("method").value
    assert last.idxmin() == "regularised least squares, pairs alone"
    assert "mesa-optimiser, 2 steps" in last.index


def test_the_page_shows_both(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "What can be read off the tokens?" in page and "Regression from few examples" in page


def test_there_is_nothing_to_probe_without_a_system(tmp_path: Path) -> None:
    for setting in ("probes", "few_shot"):
        with pytest.raises(UserError, match="linear systems"):
            study(tmp_path, REGRESSION, **{setting: True})
