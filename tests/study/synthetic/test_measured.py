"""The table of a small synthetic study: trained networks, tuned references, constructions."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd.report import read_run, write_report
from demograd.study import run_study
from demograd.study.synthetic.questions.sparsity import relative_sparsity
from demograd.study.synthetic.questions.training import clamped_rows, clamped_share
from demograd.study.synthetic.rows import loss_row, score_row
from demograd.synthetic import Sequences, SmallTransformer
from demograd.synthetic.transformer import Architecture


def test_every_network_and_every_reference_has_a_loss_in_every_world(table: pd.DataFrame) -> None:
    losses = overall(table, "loss")
    at_k_5 = losses[losses.k == 5]
    for world in REGRESSION["worlds"]:
        of_world = at_k_5[at_k_5.task == world]
        assert set(of_world.model.dropna()) == set(REGRESSION["networks"])
        assert set(of_world.method.dropna()) == {
            "GD, 1 step",
            "GD, 2 steps",
            "preconditioned GD++, 1 step",
            "preconditioned GD++, 2 steps",
            "SGD",
            "Bayes",
        }
    assert at_k_5.value.notna().all()
    assert set(losses.k) == {3, 5}
    assert set(at_k_5[at_k_5.setting == "TF"].interval) == {"demonstrations"}
    assert set(at_k_5[at_k_5.setting == "reference"].interval) == {"conditional"}


def test_a_network_is_compared_with_as_many_steps_as_it_has_layers(table: pd.DataFrame) -> None:
    ratios = overall(table, "loss_ratio")
    steps = {"linear": "1 step", "ReLU": "1 step", "linear, 2 layers": "2 steps"}
    for network, of_network in ratios.groupby("model"):
        compared = {method.rpartition(", ")[2] for method in of_network.method if "," in method}
        assert compared == {steps[str(network)]}


def test_a_loss_ratio_is_the_ratio_of_the_losses_on_the_page(table: pd.DataFrame) -> None:
    losses = overall(table, "loss").query("k == 5 and task == 'from ReLU'")
    network = losses[losses.model == "ReLU"].value.item()
    gd = losses[losses.method == "GD, 1 step"].value.item()
    ratio = overall(table, "loss_ratio").query("task == 'from ReLU' and model == 'ReLU' and method == 'GD, 1 step'")
    assert ratio.value.item() == pytest.approx(network / gd)
    assert ratio.ci_low.item() < ratio.value.item() < ratio.ci_high.item()


def test_the_ratio_over_seeds_is_the_mean_of_the_seeds_ratios(table: pd.DataFrame) -> None:
    of_pair = table.query("metric == 'loss_ratio' and task == 'from ReLU' and model == 'ReLU' and method == 'SGD'")
    of_seeds = of_pair.dropna(subset=["seed"]).set_index("seed")
    assert sorted(of_seeds.index) == [0, 1, 2] and of_seeds.value.nunique() == 3
    assert of_pair[of_pair.seed.isna()].value.item() == pytest.approx(of_seeds.value.mean())
    assert set(of_seeds.interval) == {"conditional"} and set(of_seeds.n) == {64}


def test_a_reference_without_error_has_no_ratio(table: pd.DataFrame) -> None:
    to_bayes = overall(table, "loss_ratio").query("task == 'anisotropic' and method == 'Bayes'")
    assert to_bayes.value.isna().all() and set(to_bayes.status) == {"the reference makes no error"}


def test_margins_are_over_the_attention_that_matches_the_kernel(table: pd.DataFrame) -> None:
    margins = overall(table, "loss_margin")
    assert margins[["task", "model", "method"]].to_numpy().tolist() == [["from ReLU", "linear", "ReLU"]]
    losses = overall(table, "loss").query("k == 5 and task == 'from ReLU'").set_index("model").value
    assert margins.value.item() == pytest.approx(losses["linear"] - losses["ReLU"])


def test_scale_one_is_the_scale_of_training(table: pd.DataFrame) -> None:
    at_scale = overall(table, "loss_at_scale")
    assert set(at_scale["at"]) == {0.5, 1.0, 2.0}
    for _, row in at_scale[at_scale["at"] == 1.0].iterrows():
        same = overall(table, "loss").query("k == 5 and task == @row.task")
        match = same[(same.model == row.model) if pd.isna(row.method) else (same.method == row.method)]
        assert match.value.item() == row.value


def test_interpolation_ends_at_gd(table: pd.DataFrame) -> None:
    mixes = overall(table, "loss_interpolated").query("task == 'anisotropic'").set_index("at").value
    losses = overall(table, "loss").query("k == 5 and task == 'anisotropic'")
    assert mixes[0.0] == pytest.approx(losses[losses.model == "linear"].value.item(), rel=1e-4)
    assert mixes[1.0] == pytest.approx(losses[losses.method == "GD, 1 step"].value.item(), rel=1e-4)


def test_full_batch_descent_does_not_depend_on_the_order_and_sgd_does(table: pd.DataFrame) -> None:
    spread = overall(table, "order_sensitivity_relative").query("task == 'anisotropic' and setting == 'reference'")
    spread = spread.set_index("method").value
    assert spread["GD, 1 step"] < 1e-12 < 0.05 < spread["SGD"]


def test_a_construction_depends_on_the_order_under_a_causal_mask_from_two_layers_on(table: pd.DataFrame) -> None:
    spread = overall(table, "order_sensitivity_relative").query("task == 'anisotropic' and setting == 'construction'")
    by_name = spread.set_index("method").value
    assert set(by_name.index) == {
        f"{name}, {steps}{mask}"
        for name in ("GD", "preconditioned GD++")
        for steps in ("1 step", "2 steps")
        for mask in ("", ", causal")
    }
    assert (by_name.drop(["GD, 2 steps, causal", "preconditioned GD++, 2 steps, causal"]) < 1e-12).all()
    assert 0.01 < by_name["GD, 2 steps, causal"] < 1


def test_every_construction_is_checked_and_holds(table: pd.DataFrame) -> None:
    errors = table[table.metric == "construction_error"]
    assert len(errors) >= 11 and (errors.value < 1e-10).all() and set(errors.n) == {3}


def test_factors_of_the_construction_are_sparse_and_trained_networks_stand_beside_them(table: pd.DataFrame) -> None:
    at = table[(table.metric == "sparsity_ratio") & (table["at"] == 1e-3) & table.layer.isna()]
    # W_K and W_Q have d ones, W_V W₀ and one, P d + 1, of 4 (d + 1)² weights
    constructed = at[at.weights == "constructed"].value.tolist()
    assert constructed == pytest.approx([1 - (3 + 3 + 4 + 4) / 64] * 2)
    assert set(at[at.weights == "trained"].model) == {"linear", "ReLU", "linear, 2 layers"}


def test_products_of_a_construction_are_as_sparse_as_its_theorem_says(table: pd.DataFrame) -> None:
    at = (
        overall(table, "sparsity_ratio_products").query("task == 'anisotropic' and at == 1e-4").set_index("model").value
    )
    # one layer, d = 3: QᵀK has d of d (d + 1) entries in use that are not zero, PV one of d + 1
    assert at["GD, 1 step"] == pytest.approx(1 - (3 + 1) / (12 + 4))
    assert at["linear"] < at["GD, 1 step"]


def test_sparsity_of_products_is_relative_to_their_largest_entry_in_use() -> None:
    matrix = torch.tensor([[8.0, 1.0], [0.5, 0.0], [100.0, 0.0]])
    used = torch.tensor([[True, True], [True, True], [False, False]])
    shares = relative_sparsity([(matrix, used), (torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))], (0.1, 0.2))
    assert shares.tolist() == pytest.approx([4 / 6, 5 / 6])  # under 0.8: 0.5, 0 and two zeros; under 1.6: 1 too


def test_losses_of_training_begin_at_the_first_step_and_end_at_the_last(table: pd.DataFrame, regression: Path) -> None:
    curve = table[(table.metric == "training_loss") & (table.model == "linear") & (table.task == "anisotropic")]
    of_seed = curve[curve.seed == 0]
    assert of_seed.step.min() == 1 and of_seed.step.max() == 30
    file = next((regression / "cells").glob("anisotropic-linear-seed0-*"))
    assert of_seed[of_seed.step == 1].value.item() == pytest.approx(load_file(file)["losses"][0].item())


def test_sensitivities_over_training_end_where_the_trained_network_is(table: pd.DataFrame) -> None:
    cosines = overall(table, "sensitivity_cosine").query("task == 'anisotropic' and model == 'linear'")
    gd = cosines[cosines.method == "GD, 1 step"]
    at = gd.dropna(subset=["step"]).set_index("step").value
    assert list(at.index) == [1, 2, 3, 5, 7, 10, 14, 21, 30]  # 30^(n/9), rounded
    assert at[30] == gd[gd.step.isna()].value.item()
    assert at.nunique() == len(at)


def test_matrices_of_a_trained_layer_stand_beside_the_theorys(regression: Path) -> None:
    matrices = read_run(regression).matrices
    assert {(matrix.network, matrix.layer, matrix.product) for matrix in matrices} == {
        ("linear", 0, "KᵀQ"),
        ("linear", 0, "PV"),
    }
    assert {tuple(matrix.theories) for matrix in matrices if matrix.world == "anisotropic"} == {
        ("closed form (Ahn 2023)", "preconditioned GD++, 1 step")
    }
    assert {tuple(matrix.theories) for matrix in matrices if matrix.world == "from ReLU"} == {
        ("preconditioned GD++, 1 step",)
    }
    # the query has no y, and only its y is read
    key_query, moved = matrices[:2]
    assert key_query.in_use == [[True, True, True, False]] * 4 and moved.in_use == [[False] * 4] * 3 + [[True] * 4]
    assert write_report(regression).is_file()


def test_a_linear_system_has_errors_time_by_time(tmp_path: Path) -> None:
    folder = run_study(study(tmp_path, SYSTEM), tmp_path / "run").folder.path
    table = pd.read_parquet(folder / "results.parquet")
    positions = overall(table, "loss_by_position")
    assert set(positions["at"]) == {1, 2, 3, 4, 5}
    for (model, method), of_learner in positions.groupby(["model", "method"], dropna=False):
        whole = overall(table, "loss")
        same = whole[(whole.model == model) if pd.isna(method) else (whole.method == method)]
        assert same.value.item() == pytest.approx(of_learner.value.mean())
    ratios = overall(table, "loss_ratio_by_position")
    assert set(ratios.method) == {"mesa-optimiser, 2 steps", "regularised least squares"}
    assert write_report(folder).is_file()


def test_an_interval_of_losses_never_reaches_below_zero() -> None:
    torch.manual_seed(0)
    one_outlier = [torch.rand(50) ** 20 * factor for factor in (1e-3, 1e-3, 10.0)]
    assert (score_row(one_outlier).ci_low or 0) < 0
    assert loss_row(one_outlier).ci_low == 0


def test_the_interval_over_many_sequences_is_that_of_their_mean() -> None:
    torch.manual_seed(0)
    row, width = loss_row([noise := torch.rand(8192)]), 2 * 1.96 * float(noise.std()) / 8192**0.5
    assert row.value == pytest.approx(noise.double().mean().item()) and row.n == 8192
    assert row.ci_high is not None and row.ci_low is not None
    assert row.ci_high - row.ci_low == pytest.approx(width, rel=1e-3)


def test_a_bound_clamps_the_tokens_that_pass_it() -> None:
    network = SmallTransformer(Architecture(layers=2, bound=1.0), 2, 0)
    with torch.no_grad():
        network.value.zero_()  # tokens stay as they are
    x, y = torch.tensor([[[0.5], [3.0]]]), torch.tensor([[[0.5], [0.5]]])
    problems = Sequences(x, y, torch.tensor([[0.5]]), torch.tensor([[0.5]]))
    # after the first layer one token of three is at the bound; after the last there is the query alone
    assert clamped_share(network, problems).tolist() == [0.25]
    (row,) = clamped_rows({"bounded": [network], "free": [SmallTransformer(Architecture(), 2, 0)]}, problems)
    assert row.model == "bounded" and row.value == 0.25
