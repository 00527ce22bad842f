"""Comparisons of networks with each other and with references, where some cannot be made."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.synthetic.small import REGRESSION, study

from demograd.study.synthetic.questions import problems as learners  # its names are not those of tests
from demograd.study.synthetic.questions.comparison import against_rows, descent_rows, margin_rows, over_training_rows
from demograd.study.synthetic.references import ReferenceSpec, tuned
from demograd.study.synthetic.units import Trained
from demograd.synthetic import SmallTransformer, seeded
from demograd.words import Row


def margins(tmp_path: Path, networks: dict[str, dict[str, Any]], failed: dict[str, str]) -> dict[str, Row]:
    """Margins by network; the n-th network has a loss of n + 1 on all of five sequences, from both seeds."""
    worlds = {"from ReLU": REGRESSION["worlds"]["from ReLU"]}
    small = study(tmp_path, REGRESSION, networks=networks, worlds=worlds, mixes=[], seeds=[0, 1])
    losses = {name: [torch.full((5,), n + 1.0)] * 2 for n, name in enumerate(networks) if name not in failed}
    problems = learners.Problems(small, "from ReLU", seeded("test", 0))()
    compared = learners.Tested(small, "from ReLU", problems, {}, failed, [], losses, {})
    return {f"{row.model} over {row.method}": row for row in margin_rows(compared)}


def test_margins_are_between_networks_that_differ_in_their_attention_alone(tmp_path: Path) -> None:
    rows = margins(
        tmp_path,
        {
            "relu": {"attention": "relu"},
            "relu by inputs": {"attention": "relu", "by_inputs": True},
            "softmax by inputs": {"attention": "softmax", "by_inputs": True, "initial_scale": 0.1},
            "linear bounded": {"bound": 4.0},
            "linear": {},
        },
        {},
    )
    assert {pair: row.value for pair, row in rows.items()} == {
        "linear over relu": 4.0,
        "softmax by inputs over relu by inputs": 1.0,
    }


def test_a_margin_is_missing_only_where_one_of_its_two_networks_diverged(tmp_path: Path) -> None:
    networks = {"relu": {"attention": "relu"}, "linear": {}, "softmax": {"attention": "softmax"}, "deep": {"layers": 2}}
    without_softmax = margins(
        tmp_path, networks, {"softmax": "diverged at step 9 (1 of 2 seeds)", "deep": "diverged at step 1"}
    )
    assert (
        set(without_softmax) == {"linear over relu", "softmax over relu"}
        and without_softmax["linear over relu"].value == 1.0
    )
    softmax = without_softmax["softmax over relu"]
    assert softmax.value is None and softmax.status == "“softmax” diverged at step 9 (1 of 2 seeds)"
    without_relu = margins(tmp_path, networks, {"relu": "diverged at step 2 (2 of 2 seeds)"})
    assert {row.status for row in without_relu.values()} == {"“relu” diverged at step 2 (2 of 2 seeds)"}


def test_in_one_dimension_there_is_no_cosine_and_all_else_is_compared(tmp_path: Path) -> None:
    changes = {"worlds": {"sine": {"kind": "sine"}}, "networks": {"linear": {}}, "references": ["least squares"]}
    small = study(tmp_path, REGRESSION, mixes=[], seeds=[0, 1], **changes)
    architecture = small.networks["linear"].architecture()
    initial = {seed: SmallTransformer(architecture, 2, seed).requires_grad_(False) for seed in (0, 1)}
    networks = {"linear": {seed: Trained(network, torch.ones(1), "ok") for seed, network in initial.items()}}
    references = [tuned(small.world("sine"), ReferenceSpec("least squares"), {})]
    compared = learners.tested(
        small, "sine", references, networks, learners.Problems(small, "sine", seeded("test", 0))()
    )
    rows = {row.metric: row for row in against_rows(compared) if row.seed is None}
    assert rows["sensitivity_cosine"].status == "in one dimension a cosine is a sign"
    assert rows["sensitivity_cosine"].value is None and rows["sensitivity_cosine"].n_missing == 128
    assert (rows["sensitivity_distance"].value or 0) > 0 and (rows["loss_ratio"].value or 0) > 0
    assert list(over_training_rows(compared, networks)) == []


def test_a_network_on_features_is_paired_with_the_one_of_gd_steps_and_with_no_other(tmp_path: Path) -> None:
    networks = {
        "free": {"features": 4},
        "steps": {"features": 4, "descent": True, "training": {"steps": 10}},
        "wider": {"features": 8},
        "alone": {},
    }
    changes = {"worlds": {"sine": {"kind": "sine"}}, "networks": networks, "references": ["GD"]}
    small = study(tmp_path, REGRESSION, mixes=[], seeds=[0, 1], **changes)
    widths = {"free": 5, "steps": 5, "wider": 9, "alone": 2}
    initial = {
        name: [
            SmallTransformer(small.networks[name].architecture(), width, seed).requires_grad_(False) for seed in (0, 1)
        ]
        for name, width in widths.items()
    }
    losses = {name: [torch.full((5,), n + 1.0), torch.full((5,), n + 2.0)] for n, name in enumerate(networks)}
    problems = learners.Problems(small, "sine", seeded("test", 0))()
    compared = learners.Tested(small, "sine", problems, initial, {}, [], losses, {})
    rows = list(descent_rows(compared))
    assert {(row.model, row.method) for row in rows} == {("free", "steps")}
    by_seed = {row.seed: row.value for row in rows if row.metric == "loss_ratio"}
    assert by_seed == pytest.approx({0: 1 / 2, 1: 2 / 3, None: (1 / 2 + 2 / 3) / 2})
    [difference] = [row for row in rows if row.metric == "prediction_difference"]
    first, other = (initial[name][0](compared.few) for name in ("free", "steps"))
    assert difference.n_seeds == 2 and (first - other).abs().mean() > 0
