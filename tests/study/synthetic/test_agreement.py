"""Agreement of networks and references in a study's table (Akyürek 2023)."""

from pathlib import Path

import pandas as pd
import pytest
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd import UserError
from demograd.study import run_study

CHANGES = {
    "worlds": {"noisy": {"dimension": 2, "noise": 0.5}},
    "networks": {"linear": {}, "wide": {"attention": "softmax", "layers": 2, "extra": 3, "mlp": 8}},
    "references": ["GD", "ridge", "least squares", "Bayes"],
    "agreement": True,
    "training": {"steps": 400, "batch": 128, "learning_rate": 0.02, "warmup": 5},
    "test_sequences": 512,
    "orders": None,
    "sparsity": False,
    "scales": [],
    "contexts": [],
    "mixes": [],
    "seeds": [0],
    "instances": 1,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    parent = tmp_path_factory.mktemp("agreement")
    return run_study(study(parent, REGRESSION, **CHANGES), parent / "run").results()


def test_one_linear_layer_is_nearest_to_the_gd_step_that_it_is(table: pd.DataFrame) -> None:
    for metric in ("squared_prediction_difference", "implicit_weight_distance"):
        rows = overall(table, metric).query("model == 'linear'").set_index("method").value
        assert set(rows.index) == {"GD, 1 step", "ridge", "least squares", "Bayes"}
        assert rows.idxmin() == "GD, 1 step" and rows.idxmax() == "least squares"


def test_one_linear_layer_is_linear_in_its_query(table: pd.DataFrame) -> None:
    linearity = overall(table, "linearity").set_index("model").value
    assert linearity["linear"] == pytest.approx(1) and linearity["wide"] <= 1


def test_probes_are_of_each_layer_and_find_nothing_before_the_first(table: pd.DataFrame) -> None:
    probes = overall(table, "probe_error")
    assert set(probes.method) == {"the weights of least squares", "XᵀY"}
    assert set(probes[probes.model == "wide"]["at"]) == {0, 1, 2}
    # 300 problems of fitting: what is not there is read off a little worse than by saying zero
    assert probes[probes["at"] == 0].value.between(0.95, 1.1).all()


def test_a_linear_system_has_no_agreement(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="agreement"):
        study(tmp_path, SYSTEM, agreement=True)
