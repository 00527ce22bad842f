"""The distances of A to Σ⁻¹ and of B to I in a study's table, and what is claimed of them."""

from typing import Any

import pandas as pd
import pytest
from tests.report.synthetic.rows import row
from tests.study.synthetic.evidence import findings_in, record_of
from tests.study.synthetic.small import REGRESSION, overall, study

from demograd.study import run_study
from demograd.study.synthetic.questions.blocks import METRIC, precision_of
from demograd.study.verdicts import Finding
from demograd.synthetic import LinearRegression, SineRegression

NETWORKS = {
    "two": {"layers": 2, "free": "A and B", "initial_scale": 0.1},
    "A": {"layers": 2, "free": "A", "initial_scale": 0.1},
    "softmax": {"attention": "softmax", "layers": 2},
    "softmax first": {"first": "softmax", "layers": 2},
    "plain sequence": {"positions": 2, "layers": 3},
}
WORLDS = {
    "inverse": {"dimension": 2, "spectrum": [2.0, 0.5], "task": "inverse"},
    "noisy": {"dimension": 2, "noise": 0.1},
}


@pytest.fixture(scope="module")
def distances(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("blocks")
    changes = {
        "worlds": WORLDS,
        "networks": NETWORKS,
        "references": ["GD", "preconditioned GD++"],
        "mixes": [],
        "scales": [],
        "contexts": [],
    }
    changes |= {"seeds": [0, 1], "orders": None, "sparsity": False, "tuning_sequences": 4096}
    training = {"steps": 80, "batch": 64, "learning_rate": 0.03, "checkpoint_every": 100, "warmup": 5}
    run = run_study(study(folder, REGRESSION, **changes, training=training), folder / "run")
    table = run.results()
    return table[table.metric == METRIC]


def test_they_are_of_linear_layers_in_the_world_of_the_theorem_alone(distances: pd.DataFrame) -> None:
    at_the_end = distances[distances.step.isna() & distances.layer.isna() & (distances.setting == "TF")]
    assert set(distances.task) == {"inverse"}
    assert set(at_the_end[["model", "method"]].itertuples(index=False, name=None)) == {
        ("two", "A to Σ⁻¹"),
        ("two", "B to I"),
        ("A", "A to Σ⁻¹"),
    }


def test_they_fall_in_training_and_the_last_is_that_of_the_trained_network(distances: pd.DataFrame) -> None:
    of_a = overall(distances, METRIC).query("model == 'two' and method == 'A to Σ⁻¹'")
    over_training = of_a.dropna(subset=["step"]).set_index("step").value
    assert over_training.index.min() == 1 and over_training.index.max() == 80
    assert over_training[1] > 0.3 > 0.2 > over_training[80]
    assert over_training[80] == of_a[of_a.step.isna()].value.item()


def test_a_tuned_descent_has_the_matrices_of_the_theorem(distances: pd.DataFrame) -> None:
    of_references = distances[distances.setting == "reference"].set_index("method").value
    assert set(of_references.index) == {f"preconditioned GD++, 2 steps, {part}" for part in ("A to Σ⁻¹", "B to I")}
    assert (of_references < 0.2).all()


def test_the_mean_over_layers_is_that_of_the_layers(distances: pd.DataFrame) -> None:
    of_a = distances[(distances.model == "two") & (distances.method == "A to Σ⁻¹") & distances.step.isna()]
    by_layer = of_a.dropna(subset=["layer"])
    assert by_layer.layer.tolist() == [0, 1]
    assert of_a[of_a.layer.isna()].value.item() == pytest.approx(by_layer.value.mean())


def test_the_theorem_is_about_gaussian_x_and_w_of_covariance_of_the_inverse_alone() -> None:
    spectrum = (2.0, 1.0)
    for world in (
        SineRegression(),
        LinearRegression(2, inputs="sphere"),
        LinearRegression(2, noise=0.1),
        LinearRegression(2, spectrum=spectrum),
    ):
        assert precision_of(world) is None
    precision = precision_of(LinearRegression(2, spectrum=spectrum, task="inverse"))
    assert precision is not None and precision.diagonal().tolist() == [0.5, 1.0]


def test_a_claim_needs_a_and_b_within_a_tenth() -> None:
    def verdicts(b: float) -> list[tuple[str, str]]:
        rows = [row(METRIC, 0.02, method="A to Σ⁻¹"), row(METRIC, b, method="B to I")]
        return [(finding.verdict, finding.sentence) for finding in findings_in(record_of(rows, 10, {}))]

    [(verdict, sentence)] = verdicts(0.03)
    assert verdict == "supported" and "B to I 0.030 [0.026, 0.034] (its course was not kept)" in sentence
    assert verdicts(0.3)[0][0] == "contradicted" and verdicts(0.099)[0][0] == "undecided"


def course(method: str, *points: tuple[int | None, float]) -> list[dict[str, Any]]:
    """Distances after so many steps, the last of them again without a step."""
    return [row(METRIC, value, method=method, step=step) for step, value in (*points, (None, points[-1][1]))]


def blocks(*rows: dict[str, Any]) -> Finding:
    (finding,) = findings_in(record_of(rows, 10, {}))
    return finding


def test_a_distance_that_was_still_falling_contradicts_nothing() -> None:
    """Its snapshot nearest to half of training is the one after 2,282 of 6,000 steps."""
    flat, before = course("B to I", (868, 0.5), (2282, 0.02), (6000, 0.02)), (868, 0.6)
    finding = blocks(*course("A to Σ⁻¹", before, (2282, 0.464), (6000, 0.138)), *flat)
    assert (finding.verdict, finding.reason) == (
        "undecided",
        "the distance of A to Σ⁻¹ was still falling late in training, from 0.464 after 2,282 steps",
    )
    assert "A to Σ⁻¹ 0.138 [0.134, 0.142] (0.464 after 2,282 steps), B to I 0.020" in finding.sentence
    for earlier, verdict in (
        (0.157, "undecided"),
        (0.15, "contradicted"),
        (0.138, "contradicted"),
        (0.1, "contradicted"),
    ):
        assert blocks(*course("A to Σ⁻¹", before, (2282, earlier), (6000, 0.138)), *flat).verdict == verdict, earlier


def test_a_distance_that_was_still_falling_leaves_it_to_another_to_contradict() -> None:
    falling = course("A to Σ⁻¹", (2282, 0.464), (6000, 0.138))
    assert blocks(*falling, *course("B to I", (2282, 0.3), (6000, 0.3))).verdict == "contradicted"
    assert blocks(*falling, *course("B to I", (2282, 0.3), (6000, 0.2))).verdict == "undecided"


def test_a_distance_within_its_bound_may_fall() -> None:
    assert blocks(*course("A to Σ⁻¹", (2282, 0.464), (6000, 0.02))).verdict == "supported"
