"""Scores where methods have learned equally much, on cells whose predictions were put there by the test."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.study.conftest import small_settings
from torch import Tensor

from demograd import Observation
from demograd.statistics import mean_over_heads
from demograd.study import Study, make_study, run_study
from demograd.study.language_model.equal_learning import (
    LEARNED_MORE,
    NOT_WITH_ALL,
    NOTHING_LEARNED,
    learning_rows,
)
from demograd.study.language_model.groups import WorldGroup, untuned_groups
from demograd.study.store.folder import CellRecord, RunFolder

STEP = 2
SEEDS = [*range(8)]
Gains = Mapping[str, tuple[float | list[float], float | list[float]]]
"""Method → the gain in likelihood of each of its points, after the step and at its end; a list: set by set."""


@pytest.fixture(scope="module")
def finished(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    small = {"weights": ["trained"], "seeds": SEEDS, "k": 4, "queries": 6, "observe_at": [STEP]}
    study = make_study(small_settings(small_model, **small))
    return study, run_study(study, tmp_path_factory.mktemp("learning") / "run").folder


def with_gains(finished: tuple[Study, RunFolder], gains: Gains, folder: Path) -> WorldGroup:
    """A copy of the run in which every query of a set has gained this much."""
    study, run = finished
    copy = RunFolder(shutil.copytree(run.path, folder))
    [untuned] = untuned_groups(study, copy)
    for group in untuned.groups:
        for place, (key, record, zsl) in enumerate(zip(group.unit.cell_keys, group.records, untuned.zsl, strict=True)):
            predicted = {
                f"{point}/label_log_probs": more_probable(zsl, gain[place] if isinstance(gain, list) else gain)
                for point, gain in zip((f"FT@{STEP}", "FT"), gains[group.cell.method], strict=True)
            }
            copy.save_cell(key, CellRecord(record.tensors | predicted, record.facts))
    [untuned] = untuned_groups(study, copy)
    return untuned


def more_probable(zsl: Observation, gain: float) -> Tensor:
    """The label scores with the gold one e^gain times as probable among them."""
    probability = zsl.label_log_probs.double().softmax(dim=-1)
    is_gold = torch.nn.functional.one_hot(zsl.gold, probability.shape[-1]).bool()
    gold = probability[is_gold]
    rest = probability * ((1 - gold * torch.tensor(gain).exp()) / (1 - gold))[:, None]
    return torch.where(is_gold, probability * torch.tensor(gain).exp(), rest).log().float()


def rows_of(finished: tuple[Study, RunFolder], untuned: WorldGroup) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in learning_rows(finished[0], untuned)]).set_index(
        ["method", "metric"], drop=False
    )


def score(untuned: WorldGroup, method: str, step: int | None) -> float:
    """SimAOU of a method's point, over sets, queries and layers."""
    [group] = [group for group in untuned.groups if group.cell.method == method]
    scores = group.scores("FT", "sim_aou", step)
    assert scores is not None
    return torch.stack([mean_over_heads(of_set.double()) for of_set in scores]).mean().item()


def test_methods_are_read_at_the_most_that_both_reach(finished: tuple[Study, RunFolder], tmp_path: Path) -> None:
    """GD between its step and its end, linear in the gain; LCGD, which learns least, at its end."""
    untuned = with_gains(finished, {"GD": (0.02, 0.1), "LCGD": (0.01, 0.04)}, tmp_path / "run")
    rows = rows_of(finished, untuned)
    plain = rows[rows.versus.isna() & (rows.metric == "sim_aou")]
    assert plain["at"].tolist() == pytest.approx([0.04, 0.04], abs=1e-4)
    before, after = score(untuned, "GD", STEP), score(untuned, "GD", None)
    assert plain.value["GD"].item() == pytest.approx(before + 0.25 * (after - before), abs=abs(after - before) / 100)
    assert plain.value["LCGD"].item() == pytest.approx(score(untuned, "LCGD", None), abs=1e-6)
    assert set(rows[rows.versus == "other_sets"].method) == {"GD", "LCGD"}


def test_a_method_that_learned_nothing_bounds_no_other(finished: tuple[Study, RunFolder], tmp_path: Path) -> None:
    untuned = with_gains(finished, {"GD": (0.02, 0.1), "LCGD": (-0.02, -0.01)}, tmp_path / "run")
    rows = rows_of(finished, untuned)
    assert set(rows.status["LCGD"]) == {NOTHING_LEARNED} and rows.value["LCGD"].isna().all()
    plain = rows[rows.versus.isna()]
    assert plain.value["GD", "sim_aou"] == pytest.approx(score(untuned, "GD", None), abs=1e-6)


def test_a_method_whose_first_point_is_beyond_has_no_score_and_bounds_no_other(
    finished: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    untuned = with_gains(finished, {"GD": (0.05, 0.1), "LCGD": (0.01, 0.03)}, tmp_path / "run")
    rows = rows_of(finished, untuned)
    assert set(rows.status["GD"]) == {LEARNED_MORE} and rows.value["LCGD"].notna().all()


def test_a_gain_that_may_be_chance_bounds_no_other(finished: tuple[Study, RunFolder], tmp_path: Path) -> None:
    """GD gains with every set, and by far the most with one of them: its gate stays closed."""
    chance = [0.001] * 7 + [0.05]
    untuned = with_gains(finished, {"GD": (0.0005, chance), "LCGD": (0.01, 0.04)}, tmp_path / "run")
    rows = rows_of(finished, untuned)
    assert set(rows.status["GD"]) == {NOTHING_LEARNED}
    assert rows.value["LCGD", "sim_aou"].iloc[0] == pytest.approx(score(untuned, "LCGD", None), abs=1e-6)


def test_a_method_that_gains_with_all_sets_but_one_has_no_place_to_be_compared_at(
    finished: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    most = [0.1] * 7 + [-0.001]
    untuned = with_gains(finished, {"GD": (-0.002, most), "LCGD": (0.01, 0.04)}, tmp_path / "run")
    assert set(rows_of(finished, untuned).status["GD"]) == {NOT_WITH_ALL}
