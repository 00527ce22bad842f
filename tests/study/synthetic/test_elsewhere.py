"""Networks and references away from where they were trained: which problems they meet there, and repeated layers."""

import pandas as pd
import pytest
import torch
from tests.report.synthetic.rows import row
from tests.study.synthetic.evidence import findings_in, record_of
from tests.study.synthetic.small import REGRESSION, overall, study

from demograd.statistics import Verdict
from demograd.study.synthetic.questions import problems as learners  # its names are not those of tests
from demograd.study.synthetic.questions.elsewhere import elsewhere_rows
from demograd.study.synthetic.references import ReferenceSpec, tune, tuned
from demograd.study.synthetic.units import Trained
from demograd.synthetic import (
    Architecture,
    LinearRegression,
    SmallTransformer,
    as_tokens,
    repeated,
    seeded,
    squared_error,
)
from demograd.words import Row

WORLD = {"plain": {"dimension": 3, "inputs": "uniform", "half_width": 0.5}}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Of an untrained network and of GD."""
    changes = {
        "task_scales": [2.0],
        "noises": [0.5],
        "distractors": [2],
        "laws": ["laplace"],
        "scales": [2.0],
        "test_sequences": 4000,
    }
    small = study(
        tmp_path_factory.mktemp("elsewhere"), REGRESSION, worlds=WORLD, networks={"linear": {}}, seeds=[0], **changes
    )
    world, spec = small.world("plain"), ReferenceSpec("GD", 1)
    network = SmallTransformer(small.networks["linear"].architecture(), 4, 0).requires_grad_(False)
    problems = learners.Problems(small, "plain", seeded("test", 0))
    tested = learners.tested(
        small,
        "plain",
        [tuned(world, spec, tune(small, world, spec))],
        {"linear": {0: Trained(network, torch.ones(1), "ok")}},
        problems(),
    )
    return list(elsewhere_rows(tested, problems))


def of_gd(rows: list[Row], metric: str, task: str | None = None) -> dict[float | None, float]:
    return {
        row.at: row.value or 0.0 for row in rows if (row.metric, row.method, row.task) == (metric, "GD, 1 step", task)
    }


def test_the_loss_of_gd_is_the_square_of_the_size_of_the_task(rows: list[Row]) -> None:
    losses = of_gd(rows, "loss_at_task_scale")
    assert set(losses) == {1.0, 2.0} and losses[2.0] == pytest.approx(4 * losses[1.0], rel=1e-4)
    assert losses[1.0] == of_gd(rows, "loss_at_scale")[1.0] == of_gd(rows, "loss_at_noise")[0.0]


def test_noise_and_distractors_make_gd_worse(rows: list[Row]) -> None:
    noise, distractors = of_gd(rows, "loss_at_noise"), of_gd(rows, "loss_with_distractors")
    assert set(noise) == {0.0, 0.5} and noise[0.5] > noise[0.0] + 0.2
    assert set(distractors) == {0.0, 2.0} and distractors[2.0] > 1.2 * distractors[0.0]


def test_inputs_of_another_law_are_as_large_as_those_of_training_at_factor_one(rows: list[Row]) -> None:
    losses = of_gd(rows, "loss_at_scale", "plain, laplace inputs")
    assert set(losses) == {1.0, 2.0}
    world = LinearRegression(3, inputs="laplace")
    own = LinearRegression(3, inputs="uniform", half_width=0.5)
    problems = world.draw(4000, 5, seeded("test", 0), scale=own.root_mean_square)
    assert problems.x.square().mean().sqrt() == pytest.approx(0.5 / 3**0.5, rel=0.05)
    at_zero = float(squared_error(0 * problems.query_y, problems.query_y).mean())
    assert 0.2 * at_zero < losses[1.0] < at_zero < losses[2.0]


def test_a_repeated_layer_begins_as_it_is_and_has_a_ratio_to_as_many_steps(table: pd.DataFrame) -> None:
    losses = overall(table, "loss_repeated").query("task == 'anisotropic'")
    assert set(losses["at"]) == {1.0, 2.0, 3.0, 4.0}
    assert set(losses.model.dropna()) == {"linear"} and set(losses.method.dropna()) == {"GD, 1 step"}
    gd = losses[losses.method == "GD, 1 step"].set_index("at").value
    network = losses[losses.model == "linear"].set_index("at").value
    one_step = overall(table, "loss").query("k == 5 and task == 'anisotropic' and method == 'GD, 1 step'").value.item()
    assert gd[4.0] < gd[1.0] and gd[1.0] != pytest.approx(one_step, rel=1e-3)  # dampened
    ratios = overall(table, "loss_ratio_repeated").query("task == 'anisotropic'").set_index("at").value
    assert ratios[2.0] == pytest.approx(network[2.0] / gd[2.0])


def test_a_claim_about_repetition_is_one_statement_about_every_number_of_times() -> None:
    about = {"method": "GD, 1 step"}
    near = [row("loss_ratio_repeated", ratio, at=time, **about) for time, ratio in ((1, 1.0), (2, 1.02), (3, 1.05))]
    (finding,) = findings_in(record_of(near, 10, {}))
    assert finding.verdict == Verdict.SUPPORTED
    assert "the largest ratio is 1.050 [1.046, 1.054], after 3 times" in finding.sentence
    (finding,) = findings_in(record_of([*near, row("loss_ratio_repeated", 1.3, at=4, **about)], 10, {}))
    assert finding.verdict == Verdict.CONTRADICTED and "not always within 10 %" in finding.sentence


def test_a_layer_repeated_once_without_dampening_is_the_layer() -> None:
    problems = LinearRegression(3).draw(5, 4, seeded("test", 0))
    network = SmallTransformer(Architecture(), 4, 0).requires_grad_(False)
    assert torch.allclose(next(repeated(as_tokens(problems), network.layers()[0], 1)), network(problems), atol=1e-6)
