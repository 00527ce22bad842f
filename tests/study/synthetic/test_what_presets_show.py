"""What the papers' presets must show, on one training seed each; this takes minutes, hence `make test-slow`."""

from pathlib import Path

import pandas as pd
import pytest
from tests.study.synthetic.small import overall

from demograd import read_study
from demograd.study import SyntheticStudy, run_study

pytestmark = pytest.mark.slow


def results(preset: str, folder: Path) -> pd.DataFrame:
    study = read_study(preset, seeds=[0], scales=[], contexts=[], mixes=[])
    assert isinstance(study, SyntheticStudy)
    return run_study(study, folder).results()


def values(table: pd.DataFrame, metric: str, model: str) -> dict[str, float]:
    """Values of the whole training, by reference."""
    rows = overall(table, metric)
    return rows[(rows.model == model) & rows.step.isna()].set_index("method").value.to_dict()


def test_one_free_layer_of_linear_attention_does_one_gd_step_with_the_best_rate(tmp_path: Path) -> None:
    table = results("vonoswald2023", tmp_path / "run")
    assert values(table, "loss_ratio", "linear, 1 layer")["GD, 1 step"] == pytest.approx(1, abs=0.02)
    assert values(table, "sensitivity_cosine", "linear, 1 layer")["GD, 1 step"] > 0.99


def test_three_free_layers_precondition_and_one_has_the_preconditioner_of_the_closed_form(tmp_path: Path) -> None:
    table = results("ahn2023", tmp_path / "run")
    ratios = values(table, "loss_ratio", "linear, 3 layers")
    assert ratios["GD, 3 steps"] < 1 / 3
    assert ratios["preconditioned GD, 3 steps"] < 1.02
    assert overall(table, "preconditioner_distance").value.item() < 0.05


def test_a_causal_linear_transformer_errs_as_least_squares_do_once_it_has_seen_the_dimension(tmp_path: Path) -> None:
    table = results("vonoswald2023b-autoregressive", tmp_path / "run")
    rows = overall(table, "loss_ratio_by_position")
    after = rows[(rows.method == "regularised least squares") & (rows["at"] > 5)]
    for network in ("linear, 3 layers", "mesa-layer"):
        of_network = after[after.model == network].value
        assert len(of_network) == 24 and of_network.between(0.9, 1.1).all()


def test_one_layer_applied_fifty_times_goes_on_as_gradient_descent_does(tmp_path: Path) -> None:
    rows = overall(results("vonoswald2023-recurrence", tmp_path / "run"), "loss_ratio_repeated")
    assert len(rows) == 2 * 50 and rows.value.between(0.9, 1.1).all()
