"""Matching in a run: every number of its matrices is that of a plain loop through the public functions."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from tests.guide import guide_code
from tests.study.conftest import small_settings
from torch import Tensor

from demograd import Observation, UserError, load_model, load_task, metrics, observe
from demograd.learn import fine_tuned
from demograd.metrics import METRICS
from demograd.models import Model
from demograd.statistics import mean_over_heads, share_of
from demograd.study import Study, cells, make_study, run_study
from demograd.study.language_model.claims import check_claims
from demograd.study.language_model.grid import worlds
from demograd.study.language_model.keys import cell_key, read_inputs
from demograd.study.language_model.matching import match_where_both_are_whole, write_matrices
from demograd.study.language_model.prompts import prepare, reader_of
from demograd.study.store.folder import RunFolder
from demograd.tasks import Example, Task, permute_labels
from demograd.tasks.draws import reorder

SEEDS, K, QUERIES, RATE = [0, 1, 2], 4, 6, 0.01
METHODS, SCORES = ("GD", "LCGD"), ("sim_aou", "sim_am_delta")


def settings(model: Path, **changes: Any) -> dict[str, Any]:
    """A study of three demonstration sets on trained weights."""
    small = {"weights": ["trained"], "seeds": SEEDS, "k": K, "queries": QUERIES}
    return small_settings(model, **{**small, **changes})


@dataclass(frozen=True)
class Loop:
    """A task's demonstration sets, observed and fine-tuned on one by one."""

    model: Model
    task: Task
    study: Study

    @cached_property
    def queries(self) -> list[Example]:
        return self.task.queries(QUERIES, self.study.query_seed)

    @cached_property
    def sets(self) -> list[list[Example]]:
        return self.task.demonstration_sets(K, SEEDS)

    def icl(self, demonstrations: Sequence[Example] = ()) -> Observation:
        """The queries behind these demonstrations; without any, ZSL."""
        return observe(self.model, self.task.prompts(self.model.tokenizer, self.queries, demonstrations))

    def ft(self, demonstrations: Sequence[Example], method: str = "GD") -> Observation:
        sequences = self.task.training_sequences(self.model.tokenizer, demonstrations)
        with fine_tuned(self.model, sequences, self.study.method(method, RATE)) as tuned:
            return observe(tuned, self.task.prompts(self.model.tokenizer, self.queries))

    def matrix(self, metric: str, tuned: Sequence[Observation]) -> np.ndarray:
        """Mean scores of ICL on each set (rows) against each of `tuned`: over heads, then queries, then layers."""
        zsl, compare = self.icl(), getattr(metrics, metric)
        return np.array([[mean(compare(zsl, self.icl(set), ft)) for ft in tuned] for set in self.sets])


def mean(score: Tensor) -> float:
    """Over heads, then queries, then layers, of what is there."""
    return mean_over_heads(score.double()).nanmean(dim=0).nanmean().item()


def matrices(run: Path | RunFolder) -> pd.DataFrame:
    return pd.read_parquet((run.path if isinstance(run, RunFolder) else run) / "matching.parquet")


def matrix(
    table: pd.DataFrame, metric: str, setting: str = "FT", step: int | None = None, **columns: Any
) -> np.ndarray:
    """One matrix of `matching.parquet`: a row for each set of ICL, a column for each of FT."""
    rows = table[(table.metric == metric) & (table.setting == setting)]
    rows = rows[rows.step.isna() if step is None else rows.step == step]
    for name, value in columns.items():
        rows = rows[rows[name] == value]
    assert not rows.duplicated(["icl_seed", "ft_seed"]).any(), "two matrices"
    return rows.pivot(index="icl_seed", columns="ft_seed", values="value").to_numpy()


@pytest.fixture(scope="module")
def matched(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    study = make_study(
        settings(
            small_model, controls=["permuted_labels"], measures=["similarity", "reordering"], observe_at=[2], orders=2
        )
    )
    return study, run_study(study, tmp_path_factory.mktemp("matched") / "run").folder


@pytest.fixture(scope="module")
def loop(small_model: Path, matched: tuple[Study, RunFolder]) -> Loop:
    return Loop(load_model(str(small_model), device="cpu"), load_task("sst2"), matched[0])


@pytest.mark.parametrize(("method", "metric"), [*product(METHODS, SCORES)])
def test_every_entry_is_that_of_a_plain_loop(
    matched: tuple[Study, RunFolder], loop: Loop, method: str, metric: str
) -> None:
    expected = loop.matrix(metric, [loop.ft(set, method) for set in loop.sets])
    assert expected.shape == (3, 3) and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(matrix(matrices(matched[1]), metric, method=method), expected, atol=1e-5)


def test_so_is_that_of_fine_tuning_on_permuted_labels(matched: tuple[Study, RunFolder], loop: Loop) -> None:
    flipped = [permute_labels(set, 2, seed) for seed, set in zip(SEEDS, loop.sets, strict=True)]
    expected = loop.matrix("sim_aou", [loop.ft(set) for set in flipped])
    actual = matrix(matrices(matched[1]), "sim_aou", "FT_permuted_labels", method="GD")
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("metric", SCORES)
def test_the_ceiling_is_icl_on_the_reordered_sets_in_the_place_of_fine_tuning(
    matched: tuple[Study, RunFolder], loop: Loop, metric: str
) -> None:
    reordered = [loop.icl(reorder(set, seed, 1)) for seed, set in zip(SEEDS, loop.sets, strict=True)]
    expected = loop.matrix(metric, reordered)
    np.testing.assert_allclose(matrix(matrices(matched[1]), metric, "ICL_reordered"), expected, atol=1e-5)


def test_a_comparison_names_the_share_of_its_ceiling(matched: tuple[Study, RunFolder]) -> None:
    ceiling = matrix(matrices(matched[1]), "sim_aou", "ICL_reordered")
    for comparison in specificities(matched[1]):
        share = comparison["matching"]["ceiling_share"]
        assert share == pytest.approx(specificity_of(ceiling) / ceiling.diagonal().mean(), abs=1e-4)


def test_after_a_step_it_is_fine_tuning_on_the_demonstrations_up_to_that_one(
    matched: tuple[Study, RunFolder], loop: Loop
) -> None:
    after_two = [loop.ft(set[:2]) for set in loop.sets]
    expected = loop.matrix("sim_aou", after_two)
    actual = matrix(matrices(matched[1]), "sim_aou", step=2, method="GD")
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert np.abs(expected - matrix(matrices(matched[1]), "sim_aou", method="GD")).min() > 1e-6, "it is not the end"
    table = results(matched[1])
    specific = np.diag(expected).mean() - off_diagonal(expected).mean()
    assert row(table, metric="sim_aou", step=2).value == pytest.approx(np.diag(expected).mean(), abs=1e-5)
    assert row(table, metric="sim_aou", step=2, versus="other_sets").value == pytest.approx(specific, abs=1e-5)
    likelihood = np.mean([metrics.label_log_likelihood(ft).mean().item() for ft in after_two])
    assert row(table, metric="label_log_likelihood", step=2).value == pytest.approx(likelihood, abs=1e-5)


def results(folder: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(folder.path / "results.parquet")


def off_diagonal(values: np.ndarray) -> np.ndarray:
    return values[~np.eye(len(values), dtype=bool)]


def row(table: pd.DataFrame, **columns: Any) -> pd.Series:
    """The one row of these columns: of FT by GD, over all layers and sets and at its end, unless they say more."""
    defaults = {"setting": "FT", "method": "GD", "seed": None, "layer": None, "step": None, "versus": None}
    rows = table
    for name, value in {**defaults, "reading": "plain", "selection": "all", **columns}.items():
        rows = rows[rows[name].isna() if value is None else rows[name] == value]
    assert len(rows) == 1, f"{len(rows)} rows"
    return rows.iloc[0]


@pytest.mark.parametrize(("method", "metric"), [*product(METHODS, SCORES)])
def test_the_rows_of_the_table_follow_from_the_matrix(
    matched: tuple[Study, RunFolder], method: str, metric: str
) -> None:
    table, values = results(matched[1]), matrix(matrices(matched[1]), metric, method=method)
    about = {"metric": metric, "method": method}
    for place, seed in enumerate(SEEDS):
        others = np.delete(values[place], place).mean()
        assert row(table, **about, seed=seed).value == pytest.approx(values[place, place], abs=1e-5)
        assert row(table, **about, setting="FT_other_sets", seed=seed).value == pytest.approx(others, abs=1e-5)
    matched_score, mismatched = np.diag(values).mean(), off_diagonal(values).mean()
    assert row(table, **about).value == pytest.approx(matched_score, abs=1e-5)
    assert row(table, **about, setting="FT_other_sets").value == pytest.approx(mismatched, abs=1e-5)
    specificity = row(table, **about, versus="other_sets")
    assert specificity.value == pytest.approx(matched_score - mismatched, abs=1e-5)
    assert specificity.n_seeds == 3 and specificity.ci_low < specificity.value < specificity.ci_high
    share = row(table, **about, versus="other_sets", reading="specific_share").value
    if matched_score > 0:
        assert share == pytest.approx((matched_score - mismatched) / matched_score, abs=1e-4)
    else:
        assert pd.isna(share), "of nothing above zero there is no share"


def test_the_p_value_is_that_of_all_pairings_and_sets_are_identified_by_the_best_one(
    matched: tuple[Study, RunFolder],
) -> None:
    table, values = results(matched[1]), matrix(matrices(matched[1]), "sim_aou", method="GD")
    sums = np.array([sum(values[icl, ft] for icl, ft in enumerate(pairing)) for pairing in permutations(range(3))])
    above, below = (sums >= sums[0] - 1e-9).mean(), (sums <= sums[0] + 1e-9).mean()
    specificity = row(table, metric="sim_aou", versus="other_sets")
    assert specificity.p_value == pytest.approx(min(1, 2 * min(above, below)))
    own = linear_sum_assignment(values, maximize=True)[1] == np.arange(3)
    assert row(table, metric="sim_aou", versus="other_sets", reading="identified").value == pytest.approx(own.mean())


def specificity_of(values: np.ndarray) -> float:
    return float(np.diag(values).mean() - off_diagonal(values).mean())


def test_a_share_of_the_ceiling_and_a_double_difference_are_of_two_matrices(matched: tuple[Study, RunFolder]) -> None:
    table, stored = results(matched[1]), matrices(matched[1])
    for metric in SCORES:
        specific = specificity_of(matrix(stored, metric, method="GD"))
        ceiling = specificity_of(matrix(stored, metric, "ICL_reordered"))
        flipped = specificity_of(matrix(stored, metric, "FT_permuted_labels", method="GD"))
        about = {"metric": metric, "versus": "other_sets"}
        of_icl = row(table, **about, setting="ICL_reordered", method=None)
        assert of_icl.value == pytest.approx(ceiling, abs=1e-5)
        share = row(table, **about, reading="share_of_ceiling").value
        assert share == pytest.approx(specific / ceiling, rel=1e-3, abs=1e-4)
        assert row(table, **about, reading="double_difference").value == pytest.approx(specific - flipped, abs=1e-5)


def test_a_share_of_the_ceiling_is_of_the_layers_that_the_method_changes() -> None:
    """FT is as specific as ICL reordered, but changes the last of four layers alone; in the others, which it leaves as
    they are, reordered ICL is not specific at all."""
    draw = torch.Generator().manual_seed(0)
    ceiling = 1 + 0.01 * torch.randn(5, 5, 10, 4, generator=draw, dtype=torch.float64)
    ceiling[..., 3] += 0.5 * torch.eye(5, dtype=torch.float64)[:, :, None]
    values = ceiling.clone()
    values[..., :3] = torch.nan
    assert share_of(*match_where_both_are_whole(values, ceiling)).value == pytest.approx(1.0)
    assert share_of(*match_where_both_are_whole(ceiling, values)).value == pytest.approx(1.0)


def test_a_layer_has_a_specificity_of_its_own(matched: tuple[Study, RunFolder]) -> None:
    table = results(matched[1])
    over_all = row(table, metric="sim_aou", versus="other_sets").value
    layers = [row(table, metric="sim_aou", versus="other_sets", layer=layer).value for layer in range(2)]
    assert np.mean(layers) == pytest.approx(over_all, abs=1e-6) and layers[0] != layers[1]
    silent = row(table, metric="sim_am_delta", versus="other_sets", layer=0)  # below resolution: rotary positions
    assert pd.isna(silent.value) and silent.n_missing > 0 and silent.status != "ok"


def test_labels_are_an_axis_with_a_zero_shot_of_its_own(small_model: Path, tmp_path: Path) -> None:
    study = make_study(settings(small_model, labels=["gold", "abstract"], methods=["GD"], controls=[], label_seed=3))
    folder = run_study(study, tmp_path / "run").folder
    table, stored = results(folder), matrices(folder)
    model, task = load_model(str(small_model), device="cpu"), load_task("sst2")
    for labels in ("gold", "abstract"):
        alone = Loop(model, task.with_labels(labels, 3), study)
        of_labels = table[table.labels == labels]
        zsl = row(of_labels, setting="ZSL", method=None, metric="label_log_likelihood").value
        assert zsl == pytest.approx(metrics.label_log_likelihood(alone.icl()).mean().item(), abs=1e-5)
        expected = alone.matrix("sim_aou", [alone.ft(set) for set in alone.sets])
        np.testing.assert_allclose(matrix(stored, "sim_aou", labels=labels), expected, atol=1e-5)
    assert set(stored.labels) == {"gold", "abstract"}
    compared = [
        comparison for claim in folder.read_json("claims.json")["claims"] for comparison in claim["comparisons"]
    ]
    assert {comparison["labels"] for comparison in compared} == {"gold", "abstract"}


def test_an_initialisation_is_one_network_for_all_sets_and_a_matrix(small_model: Path, tmp_path: Path) -> None:
    weights = ["trained", "no_training"]
    study = make_study(settings(small_model, weights=weights, initialisations=[4, 7], methods=["GD"], controls=[]))
    folder = run_study(study, tmp_path / "run").folder
    stored = matrices(folder)
    assert set(stored[stored.weights == "no_training"].initialisation) == {4, 7}
    assert stored[stored.weights == "trained"].groupby(["metric", "icl_seed", "ft_seed"]).size().eq(1).all()
    models = folder.read_json("provenance.json")["models"]
    assert len(models) == 3, "one network for all demonstration sets"
    of_networks = []
    for seed in (4, 7):
        untrained = load_model(str(small_model), weights="no_training", seed=seed, device="cpu")
        alone = Loop(untrained, load_task("sst2"), study)
        expected = alone.matrix("sim_aou", [alone.ft(set) for set in alone.sets])
        actual = matrix(stored, "sim_aou", weights="no_training", initialisation=seed)
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        of_networks.append(actual)
    assert np.abs(of_networks[0] - of_networks[1]).max() > 1e-3


def test_matching_is_pooled_over_tasks(small_model: Path, tmp_path: Path) -> None:
    tasks = ["sst2", "mr"]
    measures = ["similarity", "reordering"]
    study = make_study(settings(small_model, tasks=tasks, methods=["GD"], controls=[], measures=measures))
    folder = run_study(study, tmp_path / "run").folder
    assert not any(row["task"] == "sst2 and mr" for row in specificities(folder)), "where nothing was learned"
    folder.write_json("validity.json", [])
    check_claims(study, folder)
    rows = {row["task"]: row for row in specificities(folder)}
    assert set(rows) == {*tasks, "sst2 and mr"}
    pooled, stored = rows["sst2 and mr"], matrices(folder)
    by_task = [specificity_of(matrix(stored, "sim_aou", task=task)) for task in tasks]
    assert pooled["difference"] == pytest.approx(np.mean(by_task), abs=1e-5)
    assert pooled["n"] == sum(rows[task]["n"] for task in tasks) and pooled["n_seeds"] == 3
    assert pooled["compared"].startswith("SimAOU")
    ceilings = [matrix(stored, "sim_aou", "ICL_reordered", task=task) for task in tasks]
    of_both = np.mean([specificity_of(ceiling) for ceiling in ceilings])
    matched_of_both = np.mean([ceiling.diagonal().mean() for ceiling in ceilings])
    assert pooled["matching"]["ceiling_share"] == pytest.approx(of_both / matched_of_both, abs=1e-4)


def specificities(folder: RunFolder) -> list[dict[str, Any]]:
    """The comparisons of SimAOU in the claim about specificity."""
    (claim,) = (claim for claim in folder.read_json("claims.json")["claims"] if claim["name"] == "specificity")
    return [row for row in claim["comparisons"] if row["compared"].startswith("SimAOU,")]


def test_a_metric_of_ones_own_is_matched(small_model: Path, tmp_path: Path) -> None:
    try:
        exec(guide_code("A metric"), {"__name__": "guide"})
        study = make_study(settings(small_model, methods=["GD"], controls=[]))
        folder = run_study(study, tmp_path / "run").folder
    finally:
        sign = METRICS["sim_aou_sign"].function
        del METRICS["sim_aou_sign"]
    alone = Loop(load_model(str(small_model), device="cpu"), load_task("sst2"), study)
    zsl, icls, fts = alone.icl(), *zip(*((alone.icl(set), alone.ft(set)) for set in alone.sets), strict=True)
    expected = np.array([[mean(sign(zsl, icl, ft)) for ft in fts] for icl in icls])
    np.testing.assert_allclose(matrix(matrices(folder), "sim_aou_sign"), expected, atol=1e-2)
    specific = row(results(folder), metric="sim_aou_sign", versus="other_sets").value
    stored = matrix(matrices(folder), "sim_aou_sign")
    assert specific == pytest.approx(specificity_of(stored), abs=1e-6)


def test_without_matching_there_is_no_matrix(small_model: Path, tmp_path: Path) -> None:
    study = make_study(settings(small_model, methods=["GD"], matching=False))
    folder = run_study(study, tmp_path / "run").folder
    assert not (folder.path / "matching.parquet").exists()
    table = results(folder)
    assert "FT_other_sets" not in set(table.setting) and "other_sets" not in set(table.versus)
    assert "permuted_labels" in set(table.versus)
    assert specificities(folder) == []
    for key in (file.stem for file in (folder.path / "cells").glob("*.safetensors")):
        assert not [name for name in folder.load_cell(key).tensors if "matching" in name]


def test_a_set_on_which_fine_tuning_diverged_leaves_no_matrix_but_the_reason(
    matched: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    folder = RunFolder(shutil.copytree(matched[1].path, tmp_path / "run"))
    cell = next(cell for cell in cells(matched[0]) if cell.method == "GD" and cell.world.seed == 1)
    key = cell_key(matched[0], cell, [*worlds(matched[0])], read_inputs(folder))
    record = folder.load_cell(key)
    record.facts["settings"]["FT"]["status"] = "diverged at step 2 (the loss)"
    folder.save_cell(key, record)
    write_matrices(matched[0], folder)
    stored = matrices(folder)
    assert set(stored[(stored.setting == "FT") & stored.step.isna()].method) == {"LCGD"}
    check_claims(matched[0], folder)
    of_gd, of_lcgd = specificities(folder)
    assert of_gd["reason"].startswith("GD diverged at step 2 (the loss) (1 of 3 demonstration sets)")
    assert of_gd["difference"] is None and of_lcgd["difference"] is not None


def test_sets_that_would_overlap_are_refused_with_the_most_that_fit(small_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "small.csv"
    texts = [f"{word} number {number},{word == 'good'}" for number in range(20) for word in ("good", "bad")]
    data.write_text("\n".join(["text,label", *texts]))
    about = {"tasks": [str(data)], "template": "{text} is", "label_words": ["bad", "good"], "methods": ["GD"]}
    with pytest.raises(UserError, match=r"12 sets of 4 demonstrations.* Expected: at most (\d+) such sets") as refused:
        run_study(make_study(settings(small_model, **about, seeds=range(12))), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    most = int(re.search(r"at most (\d+) such", str(refused.value)).group(1))  # type: ignore[union-attr]
    task = load_task(str(data), template="{text} is", label_words=["bad", "good"])
    sets = task.demonstration_sets(4, range(most))
    texts_of_sets = [example.fields["text"] for set in sets for example in set]
    assert len(texts_of_sets) == 4 * most == len({*texts_of_sets})
    with pytest.raises(UserError):
        task.demonstration_sets(4, range(most + 1))


def test_with_aligned_positions_all_sets_share_one_zero_shot(small_model: Path, tmp_path: Path) -> None:
    """Its queries stand behind the longest of the contexts, and so do those of every ICL."""
    study = make_study(settings(small_model, methods=["GD"], controls=[], align_positions=True))
    run = run_study(study, tmp_path / "run")
    alone = Loop(load_model(str(small_model), device="cpu"), load_task("sst2"), study)
    model, task = alone.model, alone.task
    contexts = [len(task.prompts(model.tokenizer, alone.queries, set).context) for set in alone.sets]
    assert len({*contexts}) > 1

    def observed(demonstrations: Sequence[Example]) -> Observation:
        prompts = task.prompts(model.tokenizer, alone.queries, demonstrations, align_positions_to=max(contexts))
        return observe(model, prompts)

    zsl = observed([])
    for cell, set in zip(run.cells(), alone.sets, strict=True):
        of_run = run.observations(cell)
        torch.testing.assert_close(of_run[0].attention_output, zsl.attention_output, rtol=0, atol=1e-5)
        torch.testing.assert_close(of_run[1].attention_output, observed(set).attention_output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("matching", [True, False])
def test_matched_sets_have_equally_many_demonstrations_where_not_all_fit(
    matching: bool, small_model: Path, tmp_path: Path
) -> None:
    """How many fit is a trait of a set, which ICL and FT would share."""
    data = tmp_path / "lengths.csv"
    texts = [f"{word}{' and on' * (n % 7 * 12)} {n},{word}" for n in range(60) for word in ("good", "bad")]
    data.write_text("\n".join(["text,label", *texts]))
    about = {"template": "{text} is", "label_words": {"bad": "bad", "good": "good"}}
    task = load_task(str(data), **about)
    changes = {"tasks": [str(data)], **about, "methods": ["GD"], "controls": [], "k": 12}
    study = make_study(settings(small_model, **changes, balanced=False, matching=matching))
    reader = reader_of(study, str(small_model))
    sets = [prepare(study, {str(data): task}, reader, world) for world in worlds(study)]
    shown = [prepared.k_used for prepared in sets]
    assert all(0 < count < 12 for count in shown)
    assert (len({*shown}) == 1) == matching
    assert [len(prepared.training["FT"]) for prepared in sets] == shown
