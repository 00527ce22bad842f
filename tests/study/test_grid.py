"""Facts about the grid: the product of the lists, without what the rules exclude."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.study.conftest import small_settings
from transformers import AutoConfig, LlamaForCausalLM

from demograd import UserError
from demograd.study import Cell, Study, cells, make_study, run_study
from demograd.study.language_model.grid import worlds
from demograd.study.language_model.load_tasks import load_tasks
from demograd.study.spec.learning_rates import resolved
from demograd.words import Labels

RATES = {"learning_rates": {"GD": [0.1, 0.2], "LCGD": [0.3]}}


def study_of(**settings: object) -> Study:
    return make_study({**RATES, "seeds": [0, 1], **settings})


def grid_points(study: Study) -> set[tuple[object, ...]]:
    """Cells of the first seed, each as task, k, weights, method and rate."""
    return {
        (cell.world.task, cell.world.k, cell.world.weights, cell.method, cell.learning_rate)
        for cell in cells(study)
        if cell.world.seed == 0
    }


def test_the_grid_is_the_product_of_all_lists() -> None:
    study = study_of(model=["a/b", "c/d"], weights=["trained", "no_training"], tasks=["sst2", "mr"], k=[2, 4])
    assert len(list(cells(study))) == 2 * 2 * 2 * 2 * 2 * 3  # the last: two rates of GD, and one of LCGD
    assert [world.model for world in worlds(study)] == ["a/b"] * 16 + ["c/d"] * 16


def test_a_rule_takes_out_the_cells_that_match_all_of_it() -> None:
    study = study_of(
        tasks=["sst2", "mr"], k=[2, 4], exclude=[{"task": "mr", "k": 4}, {"k": 2, "learning_rate": [0.2, 0.3]}]
    )
    assert grid_points(study) == {
        ("sst2", 2, "trained", "GD", 0.1),
        ("mr", 2, "trained", "GD", 0.1),
        ("sst2", 4, "trained", "GD", 0.1),
        ("sst2", 4, "trained", "GD", 0.2),
        ("sst2", 4, "trained", "LCGD", 0.3),
    }


def test_a_world_without_a_method_is_not_observed() -> None:
    study = study_of(weights=["trained", "no_training"], exclude=[{"weights": "no_training", "method": ["GD", "LCGD"]}])
    assert {world.weights for world in worlds(study)} == {"trained"}


def test_paired_lists_are_gone_through_together() -> None:
    study = study_of(tasks=["sst2", "mr", "subj"], k=[2, 4, 8], methods=["LCGD"], pair=[["task", "k"]])
    assert {point[:2] for point in grid_points(study)} == {("sst2", 2), ("mr", 4), ("subj", 8)}
    study = study_of(weights=["trained", "no_training"], pair=[["weights", "method"]])
    assert {point[2:4] for point in grid_points(study)} == {("trained", "GD"), ("no_training", "LCGD")}


def test_rates_may_be_named_model_by_model() -> None:
    rates = {"GD": {"a/b": [0.1], "c/d": {"sst2": [0.2], "mr": [0.3]}}}
    study = make_study({"model": ["a/b", "c/d"], "tasks": ["sst2", "mr"], "methods": ["GD"], "learning_rates": rates})
    by_world = {(cell.world.model, cell.world.task): cell.learning_rate for cell in cells(study)}
    assert by_world == {("a/b", "sst2"): 0.1, ("a/b", "mr"): 0.1, ("c/d", "sst2"): 0.2, ("c/d", "mr"): 0.3}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"exclude": [{"task": "sst2"}, {"weights": "untrained"}]}, ["exclude[1].weights", "'untrained'", "no_tr"]),
        ({"exclude": [{"task": "stt2"}]}, ["exclude[0].task", "Did you mean sst2"]),
        ({"exclude": [{"taks": "sst2"}]}, ["exclude[0]", "'taks'", "Did you mean task"]),
        ({"exclude": [{"k": 3}]}, ["exclude[0].k = 3", "16"]),
        ({"exclude": [{"learning_rate": 0.5}]}, ["exclude[0].learning_rate = 0.5", "0.1, 0.2, 0.3"]),
        ({"exclude": [{}]}, ["exclude", "at least one field"]),
        ({"exclude": [{"task": "sst2"}]}, ["leave no cell"]),
        ({"exclude": [{"learning_rate": [0.1, 0.2, 0.3]}]}, ["leave no cell"]),
        ({"exclude": [{"learning_rate": [0.1, 0.2]}, {"method": "LCGD"}]}, ["leave no cell"]),
        ({"exclude": [{"learning_rate": 0.3, "method": "GD"}]}, ["exclude[0]", "0.3", "matches no cell"]),
        (
            {
                "tasks": ["sst2", "mr"],
                "seeds": {"sst2": [0], "mr": [1]},
                "exclude": [{"task": "mr"}, {"task": "sst2", "seed": 1}],
            },
            ["exclude[1]", "'sst2'", "matches no cell"],
        ),
        ({"exclude": [{"seed": 1, "method": "GD"}]}, ["seed", "method", "same demonstration sets"]),
        ({"pair": [["task", "queries"]]}, ["pair", "'queries'", "seed"]),
        ({"pair": [["task", "k"]], "k": [2, 4]}, ["of one length", "'k': 2", "'task': 1"]),
        ({"pair": [["task"]]}, ["two or more fields"]),
        ({"pair": [["task", "k"]], "optional_tasks": ["sst2"]}, ["none of them can be optional"]),
        (
            {
                "pair": [["seed", "k"]],
                "k": [2, 4],
                "tasks": ["sst2", "mr"],
                "seeds": {"sst2": [0], "mr": [1]},
                "optional_tasks": ["mr"],
            },
            ["none of them can be optional"],
        ),
        ({"model": ["a/b", "a/b"]}, ["model", "each value once"]),
        ({"model": ["a/b", "c/d"], "checkpoints": ["@1"]}, ["checkpoints", "one model"]),
        ({"model": ["a/b", "c/d"], "measures": ["training_time"]}, ["training_time", "checkpoints"]),
    ],
)
def test_a_rule_that_cannot_work_is_refused(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        study_of(**settings)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_world_all_of_whose_rates_are_excluded_is_not_observed() -> None:
    study = study_of(k=[2, 4], exclude=[{"k": 4, "learning_rate": [0.1, 0.2, 0.3]}])
    assert {world.k for world in worlds(study)} == {2}


def test_a_rate_that_the_sweep_chose_may_be_the_one_that_is_excluded() -> None:
    swept = resolved(make_study({"methods": ["GD"]}))[0].rates_of("smollm2-135m", "sst2", Labels.GOLD, "GD")
    assert swept is not None
    study = make_study(
        {"methods": ["GD", "LCGD"], "learning_rates": {"LCGD": swept}, "exclude": [{"learning_rate": swept}]}
    )
    with pytest.raises(UserError, match="leave no cell"):
        resolved(study)


MISSING = {"tasks": ["sst2", "gone.csv"], "optional_tasks": ["gone.csv"]}


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        (
            {"k": [2, 4], "exclude": [{"task": "gone.csv"}, {"k": 4, "task": ["sst2", "gone.csv"]}]},
            [{"k": [4], "task": ["sst2"]}],
        ),
        ({"seeds": {"sst2": [0, 1], "gone.csv": [1, 2]}, "exclude": [{"seed": 2}, {"seed": [1, 2]}]}, [{"seed": [1]}]),
        ({"k": [2, 4], "seeds": {"sst2": [0], "gone.csv": [1]}, "exclude": [{"seed": 1, "k": 2}]}, []),
        (
            {
                "learning_rates": {"GD": {"sst2": [0.1], "gone.csv": [0.3]}, "LCGD": [0.3]},
                "exclude": [{"learning_rate": 0.3, "method": "GD"}],
            },
            [],
        ),
        (
            {
                "learning_rates": {"GD": {"smollm2-135m": {"sst2": [0.1], "gone.csv": [0.2]}}, "LCGD": [0.3]},
                "exclude": [{"learning_rate": [0.2, 0.3]}],
            },
            [{"learning_rate": [0.3]}],
        ),
    ],
)
def test_without_a_task_a_study_has_no_rules_about_it_and_can_be_opened_again(
    settings: dict[str, object], left: list[dict[str, object]]
) -> None:
    sentences: list[str] = []
    study, _ = load_tasks(study_of(**MISSING, **settings), sentences.append)
    assert "gone.csv is left out" in sentences[0]
    assert study.tasks == ["sst2"] and [rule.excluded for rule in study.exclude] == left
    assert "gone.csv" not in str(study.model_dump()) and make_study(study.model_dump(mode="json")) == study


def test_a_study_of_which_a_missing_task_leaves_nothing_says_so() -> None:
    study = study_of(**MISSING, exclude=[{"task": "sst2", "method": "GD"}, {"task": "sst2", "method": "LCGD"}])
    with pytest.raises(UserError, match=r"Without gone\.csv, .*leave no cell"):
        load_tasks(study, print)


def test_a_method_of_which_nothing_is_left_is_named() -> None:
    sentences: list[str] = []
    load_tasks(study_of(exclude=[{"method": "GD", "learning_rate": [0.1, 0.2]}]), sentences.append)
    assert sentences == ["exclude and pair leave no cell of GD"]


@pytest.mark.slow
def test_a_grid_with_holes_runs_to_a_table_of_what_is_left(small_model: Path, tmp_path: Path) -> None:
    exclude = [{"weights": "no_training", "k": 3}, {"seed": 2, "k": 2}, {"method": "LCGD", "k": 3}]
    study = make_study(small_settings(small_model, k=[2, 3], queries=4, exclude=exclude))
    left = {(cell.world.weights, cell.world.k, cell.world.seed, cell.method) for cell in cells(study)}
    run_study(study, tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    rows = table[(table.metric == "sim_aou") & (table.setting == "FT") & table.seed.notna() & table.layer.isna()]
    assert {*zip(rows.weights, rows.k, rows.seed, rows.method, strict=True)} == left and len(left) == 2 * 2 * 2 + 3
    assert isinstance(next(cells(study)), Cell)


@pytest.mark.slow
def test_models_of_other_shapes_stand_in_one_table(small_model: Path, tmp_path: Path) -> None:
    """The models differ in layers, width and tokenizer; each reads the same demonstrations with its own tokenizer."""
    other = tmp_path / "other"
    shutil.copytree(small_model, other)
    changes = {"num_hidden_layers": 3, "hidden_size": 48, "max_position_embeddings": 60}
    torch.manual_seed(3)
    LlamaForCausalLM(AutoConfig.from_pretrained(small_model, **changes)).save_pretrained(other)
    weights = other / "model.safetensors"
    save_file({**load_file(weights), "sees.weight": torch.zeros(1)}, weights, metadata={"format": "pt"})
    study = make_study(
        {**small_settings(small_model, queries=4, weights=["trained"]), "model": [str(small_model), str(other)]}
    )
    run_study(study, tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    layers = table[(table.metric == "sim_aou") & (table.setting == "FT")].groupby("model").layer.max()
    assert layers.to_dict() == {str(small_model): 1, str(other): 2}
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert sum("sees.weight" in note for note in provenance["notes"]) == 1  # of the second model too, and once
    # the second has a window in which not all demonstrations fit
    used = table[table.k_used.notna()].groupby("model").k_used.min()
    assert used[str(small_model)] == 3 and used[str(other)] < 3
    alone = make_study(small_settings(other, queries=4, weights=["trained"]))
    run_study(alone, tmp_path / "alone")
    by_itself = pd.read_parquet(tmp_path / "alone" / "results.parquet")
    scores = table[(table.model == str(other)) & (table.metric == "sim_aou")].value
    assert scores.notna().any()
    np.testing.assert_array_equal(scores, by_itself[by_itself.metric == "sim_aou"].value)
