"""The distances of A to Σ⁻¹ and of B to I in a study's table, and what is claimed of them."""

import pandas as pd
import pytest
from tests.report.synthetic.rows import row
from tests.study.synthetic.evidence import findings_in, record_of
from tests.study.synthetic.small import REGRESSION, overall, study

from demograd.study import run_study
from demograd.study.synthetic.questions.blocks import METRIC, precision_of
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
        rows.append(row("loss_ratio", 1.0, method="preconditioned GD++, 3 steps"))
        findings = findings_in(record_of(rows, 10, {}))
        return [(finding.verdict, finding.sentence) for finding in findings if finding.claim == "covariance-blocks"]

    [(verdict, sentence)] = verdicts(0.03)
    assert verdict == "supported" and "B to I 0.030 [0.026, 0.034]" in sentence
    assert verdicts(0.3)[0][0] == "contradicted" and verdicts(0.099)[0][0] == "undecided"


def beside(ratio: float, method: str, *, a: float = 0.138, b: float | None = 0.02) -> tuple[str, str]:
    """Verdict and reason on a network's blocks, where its loss is so many times that of a reference."""
    rows = [row(METRIC, a, method="A to Σ⁻¹"), *([] if b is None else [row(METRIC, b, method="B to I")])]
    rows += [row("loss_ratio", ratio, method=method), row("sensitivity_cosine", 0.998, method=method)]
    (finding,) = (finding for finding in findings_in(record_of(rows, 10, {})) if finding.claim == "covariance-blocks")
    return finding.verdict, finding.reason


def test_matrices_of_a_network_that_is_not_shown_to_err_as_little_as_the_steps_it_can_take_contradict_nothing() -> None:
    """The theorems are about the best matrices, which training did not find."""
    why = (
        "training did not end at the best matrices, which the theorem is about: preconditioned GD++, 3 steps errs less"
    )
    assert beside(2.0, "preconditioned GD++, 3 steps") == ("undecided", why)
    assert beside(2.0, "preconditioned GD++, 3 steps", a=0.02) == ("supported", "")
    for ratio in (0.5, 1.0):
        assert beside(ratio, "preconditioned GD++, 3 steps")[0] == "contradicted"
    unknown = "training is not shown to have ended at the best matrices, which the theorem is about"
    for ratio, method in ((0.5, "preconditioned GD, 3 steps"), (1.0, "Bayes"), (1.02, "preconditioned GD++, 3 steps")):
        assert beside(ratio, method) == ("undecided", unknown), (ratio, method)


def test_a_network_without_b_is_not_held_against_steps_that_have_one() -> None:
    rows = [row(METRIC, 0.138, method="A to Σ⁻¹"), row("loss_ratio", 1.0, method="preconditioned GD, 3 steps")]
    rows += [row("loss_ratio", 180.0, method="preconditioned GD++, 3 steps")]
    verdicts = {finding.claim: finding.verdict for finding in findings_in(record_of(rows, 10, {}))}
    assert verdicts["covariance-blocks"] == "contradicted"
    assert beside(180.0, "preconditioned GD, 3 steps", b=None)[0] == "undecided"
