"""Facts about the presets: each runs, small, and writes the rows of its paper; released settings are published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from demograd import load_model, load_task, read_study, run_study
from demograd.published import table as published_table
from demograd.report import write_report
from demograd.study import Study, preset_names
from demograd.study.language_model.grid import worlds
from demograd.study.language_model.networks import loaded
from demograd.study.language_model.prompts import prepare
from demograd.words import Weights

SPECIFIC = {("sim_aou", "FT vs other_sets"), ("sim_am_delta", "FT vs other_sets")}
FILLS: dict[str, set[tuple[str, str | None]]] = {
    "quickstart": SPECIFIC | {("sim_aou", "FT"), ("accuracy", "ZSL"), ("accuracy", "ICL"), ("random_sim_aou", "ICL")},
    "claims": SPECIFIC
    | {
        ("alpha", "FT"),
        ("layer_by_layer_sim_aou", "FT"),
        ("token_overlap", "ICL_reordered"),
        ("sim_aou", "ICL_reordered"),
        ("implicit_update_validity", "FT"),
        ("attention_kendall_by_token", "FT"),
        ("random_attention_kendall_by_token", "FT"),
    },
    "dai2023": SPECIFIC
    | {
        ("sim_aou", "FT"),
        ("sim_am", "FT"),
        ("attention_kendall_by_token", "FT"),
        ("random_attention_kendall_by_token", "FT"),
        ("implicit_update", "FT"),
    },
    "deutch2024-table1": SPECIFIC
    | {("sim_aou", "FT"), ("sim_aou_norm", "FT"), ("sim_am", "FT"), ("sim_am_delta", "FT"), ("random_sim_aou", "ICL")},
    "deutch2024-table2": SPECIFIC
    | {("sim_aou", "FT"), ("sim_aou_norm", "FT"), ("sim_am", "FT"), ("sim_am_delta", "FT")},
    "deutch2024-figures": SPECIFIC | {("alpha", "FT"), ("layer_by_layer_sim_aou", "FT"), ("gradient_norm", "FT")},
    "shen2023-metrics": {
        ("accuracy", "ICL"),
        ("accuracy", "FT"),
        ("token_overlap", "FT"),
        ("token_overlap", "ICL_reordered"),
        ("overlap_cosine_similarity", "FT"),
        ("overlap_cosine_similarity", "ICL_reordered"),
    },
    "shen2023-steps": {
        ("accuracy", "ICL"),
        ("accuracy", "FT"),
        ("token_overlap", "FT"),
        ("token_overlap", "ICL_reordered"),
        ("overlap_cosine_similarity", "FT"),
    },
    "shen2023-order": {("order_sensitivity", "ICL"), ("order_sensitivity", "FT")},
    "shen2023-sparsity": {("sparsity_ratio", None)},
    "shen2023-bridge-language-model": {
        ("sparsity_ratio", None),
        ("order_sensitivity", "ICL"),
        ("order_sensitivity", "FT"),
    },
    "rivals": {
        ("sim_labels", "FT"),
        ("sim_labels", "FT vs other_sets"),
        ("sim_labels", "ICL_reordered"),
        ("sim_labels_mean_removed", "FT"),
        ("sim_aou", "FT vs other_sets"),
    },
    "shen2023-training-time": {("parameter_distance", None), ("accuracy", "ICL"), ("accuracy", "ZSL")},
}
"""Metrics and settings that must have a number, by preset."""
PRESETS = [name for name in preset_names() if isinstance(read_study(name), Study)]

SMALLER: dict[str, dict[str, Any]] = {
    "shen2023-metrics": {"k": [1, 3]},
    "shen2023-steps": {"observe_at": [1, 4]},
    "shen2023-order": {"k": 3, "orders": 3},
    "rivals": {"tasks": ["trec"]},  # SimLabels takes three label words
}
Results = Callable[[str], tuple[Path, pd.DataFrame]]


def save(folder: Path, tokenizer: Any, seed: int) -> Path:
    """Save a model of three layers, so that there are a middle and a deep layer."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    tokenizer, folder = AutoTokenizer.from_pretrained(small_model), tmp_path_factory.mktemp("checkpoints")
    return [str(save(folder / f"step{seed}", tokenizer, seed)) for seed in (11, 12)]


def small(name: str, checkpoints: list[str], **changes: Any) -> Study:
    """A preset in a small form, with the same measures: one task, two demonstration sets, few queries."""
    settings = {
        "model": checkpoints[0],
        "tasks": ["sst2"],
        "optional_tasks": [],
        "k": 2,
        "seeds": [0, 1],
        "queries": 4,
        "device": "cpu",
        **SMALLER.get(name, {}),
        **changes,
    }
    if read_study(name).checkpoints:
        settings["checkpoints"] = checkpoints
    rates = {method: [0.01] for method in read_study(name).methods}
    return read_study(name, **{"learning_rates": rates, **settings})


@pytest.fixture(scope="module")
def results(checkpoints: list[str], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A function that runs a preset small, once, and returns its folder and table."""
    done: dict[str, tuple[Path, pd.DataFrame]] = {}

    def run_of(name: str) -> tuple[Path, pd.DataFrame]:
        if name not in done:
            folder = run_study(small(name, checkpoints), tmp_path_factory.mktemp("runs") / name).folder.path
            done[name] = folder, pd.read_parquet(folder / "results.parquet")
        return done[name]

    return run_of


TAKE_LONG = {"claims", "deutch2024-table1", "deutch2024-table2", "shen2023-bridge-language-model", "shen2023-steps"}
"""They run in `make test-slow`, as all do there with real weights (`test_every_preset.py`)."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in TAKE_LONG else []) for name in PRESETS]
)
def test_every_preset_runs_and_writes_the_rows_that_it_is_for(name: str, results: Results) -> None:
    folder, table = results(name)
    numbers = table[table.value.notna()]
    written = {
        (metric, None if pd.isna(setting) else setting if pd.isna(versus) else f"{setting} vs {versus}")
        for metric, setting, versus in zip(numbers.metric, numbers.setting, numbers.versus, strict=True)
    }
    assert FILLS[name] <= written
    assert set(table.method.dropna()) == set(read_study(name).methods)
    assert set(table.weights) == set(read_study(name).weights)
    assert write_report(folder).stat().st_size > 0


def test_dai_scores_are_also_over_the_queries_that_icl_and_fine_tuning_correct(results: Results) -> None:
    _, table = results("dai2023")
    corrected = table[table.selection == "corrected"]
    assert {"sim_aou", "sim_am"} <= set(corrected.metric)
    # an empty selection is missing, not zero
    assert (corrected.value.notna() == (corrected.n > 0)).all()


def test_the_figures_have_a_norm_for_each_layer_and_step_and_a_score_for_each_pair_of_layers(results: Results) -> None:
    _, table = results("deutch2024-figures")
    norms = table[(table.metric == "gradient_norm") & (table.setting == "FT") & (table.method == "LCGD")]
    assert {(row.layer, row.step) for row in norms.itertuples()} == {
        (layer, step) for layer in range(3) for step in range(2)
    }
    assert (norms.value > 0).all()
    pairs = table[(table.metric == "layer_by_layer_sim_aou") & (table.setting == "FT") & (table.method == "GD")]
    assert len(pairs) == 9 and {(row.layer, row["at"]) for _, row in pairs.iterrows()} == {
        (layer, other) for layer in range(3) for other in range(3)
    }
    same = pairs[pairs.layer == pairs["at"]].set_index("layer").value
    sim_aou = table[
        (table.metric == "sim_aou") & (table.setting == "FT") & (table.method == "GD") & table.versus.isna()
    ]
    by_layer = sim_aou[sim_aou.layer.notna()].set_index("layer").value
    assert same.to_dict() == pytest.approx(by_layer.to_dict(), abs=1e-6)
    assert set(table[table.metric == "alpha"].method) == {"LCGD"}


def test_overlap_is_told_for_each_number_of_demonstrations_beside_icl_reordered(results: Results) -> None:
    _, table = results("shen2023-metrics")
    overlap = table[(table.metric == "token_overlap") & table.seed.isna() & table.versus.isna()]
    # one demonstration has one order
    measured = {(row.k, row.setting) for row in overlap.itertuples()}
    assert {(k, setting) for k, setting in measured if setting != "FT_other_sets"} == {
        (1, "FT"),
        (3, "FT"),
        (3, "ICL_reordered"),
    }
    assert overlap.value.between(0, 1).all()


@pytest.mark.slow
def test_overlap_is_told_along_the_way_until_its_end(results: Results) -> None:
    """Two demonstrations and eight passes: 16 steps, or 8 of full-batch GD."""
    _, table = results("shen2023-steps")
    overlap = table[
        (table.metric == "token_overlap") & (table.setting == "FT") & table.seed.isna() & table.versus.isna()
    ]
    for method, rows in overlap.groupby("method"):
        assert {None if pd.isna(step) else int(step) for step in rows.step} == {1, 4, None}, method
    assert overlap.value.between(0, 1).all()
    losses = table[(table.metric == "loss") & (table.setting == "FT")].groupby("method").step.max()
    assert dict(losses) == {"GD": 15, "GD-middle": 15, "GD-deep": 15, "GD-batch": 7}


def test_sparsity_looks_at_no_prompt(results: Results) -> None:
    folder, table = results("shen2023-sparsity")
    assert set(table.metric) == {"sparsity_ratio"} and table.task.isna().all()
    assert not list((folder / "observations").iterdir())
    whole = table[(table.weights == "trained") & table.layer.isna()].sort_values("at")
    assert whole.value.is_monotonic_increasing and 0 < whole.value.iloc[-1] < 1


def test_the_last_checkpoint_is_at_no_distance_from_itself(results: Results, checkpoints: list[str]) -> None:
    _, table = results("shen2023-training-time")
    distance = table[(table.metric == "parameter_distance") & table.layer.isna()].set_index("model").value
    assert distance[checkpoints[-1]] == 0 < distance[checkpoints[0]]
    assert set(table[table.metric == "accuracy"].model) == set(checkpoints)


@pytest.mark.parametrize("name", ["deutch2024-table1", "deutch2024-table2", "deutch2024-figures"])
def test_released_settings_are_the_published_ones(name: str) -> None:
    study, settings = read_study(name, as_released=True), published_table("deutch2024-settings")
    assert set(study.tasks) <= set(settings.task)
    for task, rows in settings[settings.task.isin(study.tasks)].groupby("task"):
        assert study.k == list(rows["mean"].unique())
        assert {seed: study.permutation_of(task, seed) for seed in study.seeds_of(task)} == dict(
            zip(rows.seed, rows.permutation, strict=True)
        )
        for rates in study.learning_rates.values():
            assert rates[task] == list(rows.learning_rate.unique())


@pytest.fixture(scope="module")
def released(checkpoints: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    changes = {
        "weights": ["trained", "no_training"],
        "k": 4,
        "seeds": [2, 3, 4],
        "permutations": [0, 1, 2],
        "dtype": "float32",
        "controls": [],
    }
    study = small("deutch2024-table1", checkpoints, as_released=True, **changes)
    return study, run_study(study, tmp_path_factory.mktemp("runs") / "released").folder.path


def test_a_released_run_records_at_the_answer_and_ends_demonstrations_with_eos(released: tuple[Study, Path]) -> None:
    _, folder = released
    table = pd.read_parquet(folder / "results.parquet")
    assert set(table.record_at) == {"first_answer"}
    scores = table[(table.metric == "sim_aou") & (table.setting == "FT") & table.layer.isna() & table.seed.notna()]
    assert {(row.seed, row.permutation) for row in scores.itertuples()} == {(2, 0), (3, 1), (4, 2)}
    notes = json.loads((folder / "provenance.json").read_text())["notes"]
    assert any(note.startswith("EOS") and "separates demonstrations" in note for note in notes)
    assert any("no final norm" in note for note in notes)


def test_released_permutations_one_and_two_train_in_another_order_than_they_prompt(
    released: tuple[Study, Path],
) -> None:
    study, _ = released
    model, task = load_model(study.model, device="cpu"), load_task("sst2")
    for world in (world for world in worlds(study) if world.weights == "trained"):
        prepared = prepare(study, {"sst2": task}, model, world)
        shown = [prepared.icl.context[slice(*span)] for span in prepared.icl.demonstration_spans]
        trained = [sequence.tokens[1:] for sequence in prepared.training["FT"]]
        assert sorted(shown) == sorted(trained)
        assert (shown == trained) == (world.permutation == 0)


def test_released_untrained_networks_have_no_final_norm_and_trained_ones_have(released: tuple[Study, Path]) -> None:
    small, _ = released
    [name] = small.models
    assert isinstance(loaded(small, (name, Weights.NO_TRAINING, 2)).network.model.norm, torch.nn.Identity)
    assert not isinstance(loaded(small, (name, Weights.TRAINED, 0)).network.model.norm, torch.nn.Identity)
