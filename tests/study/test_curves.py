"""Facts about several learning rates: methods are compared at equal size of their updates, not at equal rate."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.study.conftest import key_of_cell, small_settings

from demograd.study import RunFolder, Study, cells, make_study, run_study
from demograd.study.language_model.claims import check_claims
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.table import rows_of
from demograd.study.language_model.validity import check_validity
from demograd.study.results import write_results
from demograd.study.store.folder import CellRecord

RATES = [0.001, 0.01, 0.1]


@pytest.fixture(scope="module")
def finished(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    settings = small_settings(
        small_model, weights=["trained"], controls=["permuted_labels"], learning_rates={"GD": RATES, "LCGD": RATES}
    )
    study = make_study(settings)
    return study, run_study(study, tmp_path_factory.mktemp("curves") / "run").folder


@pytest.fixture(scope="module")
def table(finished: tuple[Study, RunFolder]) -> pd.DataFrame:
    return pd.read_parquet(finished[1].path / "results.parquet")


def sizes(study: Study, folder: RunFolder, method: str, seed: int) -> list[float]:
    """‖u_FT‖ / ‖u_ICL‖ of one demonstration set at each rate."""
    records = [
        folder.load_cell(key_of_cell(study, cell, read_inputs(folder)))
        for cell in cells(study)
        if cell.method == method and cell.world.seed == seed
    ]
    ratios = [record.tensors["FT/update_size_ratio"].double().numpy() for record in records]
    return [float(np.nanmedian(ratio[ratio > 0])) for ratio in ratios]


def whole(table: pd.DataFrame, metric: str, reading: str = "plain") -> pd.DataFrame:
    """A score over all layers, read so; not its specificity."""
    of_metric = table[(table.metric == metric) & (table.reading == reading) & table.versus.isna()]
    return of_metric[of_metric.layer.isna() & (of_metric.selection == "all")]


def with_rates(study: Study, gd: list[float], lcgd: list[float]) -> Study:
    """The same study with some of its rates; its cells are in the same folder."""
    return study.model_copy(update={"learning_rates": {"GD": gd, "LCGD": lcgd}})


def test_a_row_at_equal_size_lies_between_the_rates_beside_that_size(
    finished: tuple[Study, RunFolder], table: pd.DataFrame
) -> None:
    """The score is linear in the logarithm of the size, set by set; the test computes it from the rows at each rate."""
    rows = whole(table, "sim_aou", "at_equal_size")
    [at] = rows["at"].unique()
    for method in ("GD", "LCGD"):
        expected = []
        for seed in finished[0].seeds:
            size = sizes(*finished, method, seed)
            assert size == sorted(size) and size[0] < at < size[-1]
            of_seed = whole(table, "sim_aou")
            of_seed = of_seed[(of_seed.method == method) & (of_seed.seed == seed) & (of_seed.setting == "FT")]
            assert (of_seed.n_missing == 0).all()
            scores = of_seed.sort_values("learning_rate").value.to_numpy()
            expected.append(np.interp(math.log(at), np.log(size), scores))
        row = rows[(rows.method == method) & (rows.setting == "FT") & rows.seed.isna()]
        assert row.value.item() == pytest.approx(np.mean(expected), abs=1e-5)
        assert row.learning_rate.isna().all()


def test_the_size_is_that_of_icl_where_all_reach_it_and_else_one_that_all_reach(
    finished: tuple[Study, RunFolder], table: pd.DataFrame
) -> None:
    reached = [sizes(*finished, method, seed) for method in ("GD", "LCGD") for seed in finished[0].seeds]
    low, high = max(size[0] for size in reached), min(size[-1] for size in reached)
    [at] = whole(table, "sim_am_delta", "at_equal_size")["at"].unique()
    assert at == pytest.approx(1.0 if low <= 1 <= high else math.sqrt(low * high), rel=1e-5)


def test_specificity_at_equal_size_is_the_difference_from_the_control_there(table: pd.DataFrame) -> None:
    rows = table[(table.metric == "sim_aou") & (table.reading == "at_equal_size") & table.versus.notna()]
    rows = rows[rows.layer.isna()]
    assert (
        set(rows.versus) == {"other_sets", "permuted_labels"}
        and set(rows.setting) == {"FT"}
        and set(rows.method) == {"GD", "LCGD"}
    )
    assert (rows.status == "ok").all()


def test_one_rate_each_makes_no_curve(finished: tuple[Study, RunFolder]) -> None:
    study, folder = finished
    rows = write_results(folder, rows_of(with_rates(study, RATES[:1], RATES[:1]), folder))
    assert not {"at_equal_size", "over_sizes"} & {*rows.reading} and (rows.metric == "sim_aou").any()


def changed(study: Study, folder: RunFolder, to: Path, method: str, change: Callable[[CellRecord], None]) -> RunFolder:
    """A copy of the run in which `change` was applied to every cell of a method."""
    copy = RunFolder(shutil.copytree(folder.path, to / "changed"))
    for cell in (cell for cell in cells(study) if cell.method == method):
        record = copy.load_cell(key_of_cell(study, cell, read_inputs(folder)))
        change(record)
        copy.save_cell(key_of_cell(study, cell, read_inputs(folder)), record)
    return copy


def test_curves_that_share_no_size_have_no_score_at_one_but_a_reason(
    finished: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    def enlarge(record: CellRecord) -> None:
        record.tensors["FT/update_size_ratio"] *= 1e6

    study, folder = finished
    apart = changed(study, folder, tmp_path, "LCGD", enlarge)
    rows = whole(write_results(apart, rows_of(study, apart)), "sim_aou", "at_equal_size")
    assert len(rows) and set(rows.status) == {"the curves share no size"} and rows.value.isna().all()
    by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(study, apart)["claims"]}
    assert {comparison["reason"] for comparison in by_claim["lcgd-above-gd"]} == {
        "the two sides reach no common size of updates"
    }


def test_a_method_with_one_rate_has_no_curve_and_takes_none_from_the_others(finished: tuple[Study, RunFolder]) -> None:
    study, folder = finished
    single = with_rates(study, RATES, RATES[:1])
    rows = whole(write_results(folder, rows_of(single, folder)), "sim_aou", "at_equal_size")
    assert set(rows.method) == {"GD"} and set(rows.status) == {"ok"}
    write_results(folder, rows_of(study, folder))
    by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(single, folder)["claims"]}
    why = "LCGD has one learning rate, so it has no curve to read at the other side's size of updates"
    assert {comparison["reason"] for comparison in by_claim["lcgd-above-gd"]} == {why}
    assert {comparison["difference"] for comparison in by_claim["lcgd-above-gd"]} == {None}
    of_gd = [
        comparison
        for comparison in by_claim["specificity"]
        if "GD" in comparison["compared"] and "LCGD" not in comparison["compared"]
    ]
    assert of_gd and all("at ‖u_FT‖ / ‖u_ICL‖ = " in comparison["compared"] for comparison in of_gd)


def test_a_side_that_diverged_is_told_as_that_and_not_as_missing(
    finished: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    def diverge(record: CellRecord) -> None:
        record.facts["settings"]["FT"]["status"] = "diverged at step 2 (loss)"

    study, folder = finished
    diverged = changed(study, folder, tmp_path, "LCGD", diverge)
    for variant in (study, with_rates(study, RATES[:1], RATES[:1])):
        by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(variant, diverged)["claims"]}
        assert len(by_claim["lcgd-above-gd"]) == 2
        for comparison in by_claim["lcgd-above-gd"]:
            assert comparison["verdict"] == "undecided" and comparison["difference"] is None
            assert comparison["reason"].startswith("LCGD diverged at step 2 (loss) (3 of 3 demonstration sets)")
        assert not any(
            "LCGD" in comparison["compared"] for comparison in by_claim["gd-and-lcgd-differ"]
        )  # α was not asked for


def test_methods_at_one_rate_each_are_told_to_be_compared_so(finished: tuple[Study, RunFolder]) -> None:
    study, folder = finished
    by_claim = {
        claim["name"]: claim["comparisons"]
        for claim in check_claims(with_rates(study, RATES[:1], RATES[:1]), folder)["claims"]
    }
    assert all(
        comparison["one_rate_each"] and "one learning rate each" in comparison["reason"]
        for comparison in by_claim["lcgd-above-gd"]
    )
    assert not any(
        comparison["one_rate_each"] or "each" in comparison["reason"] for comparison in by_claim["specificity"]
    )


def test_methods_with_several_rates_are_claimed_about_at_equal_size(finished: tuple[Study, RunFolder]) -> None:
    study, folder = finished
    by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(study, folder)["claims"]}
    compared = [comparison["compared"] for comparison in by_claim["lcgd-above-gd"]]
    assert len(compared) == 2 and all("at ‖u_FT‖ / ‖u_ICL‖ = " in title for title in compared)
    check_validity(with_rates(study, RATES[:1], RATES[:1]), folder)
    alone = check_claims(with_rates(study, RATES[:1], RATES[:1]), folder)
    compared = [comparison["compared"] for claim in alone["claims"] for comparison in claim["comparisons"]]
    assert compared and not any("‖u_FT‖" in title for title in compared)


def without_common_size(finished: tuple[Study, RunFolder], path: Path) -> RunFolder:
    """A copy of the run in which the sizes of the first set are all below those of the others; the rate nearest to 1 is
    the smallest, at which FT on permuted labels diverged."""
    study, run = finished
    folder = RunFolder(shutil.copytree(run.path, path))
    ratios = {0.001: (0.1, 2.0), 0.01: (0.2, 4.0), 0.1: (0.3, 30.0)}
    for cell in cells(study):
        key = key_of_cell(study, cell, read_inputs(folder))
        record = folder.load_cell(key)
        size = ratios[cell.learning_rate][cell.world.seed != study.seeds[0]]
        tensors = {"FT/update_size_ratio": torch.full_like(record.tensors["FT/update_size_ratio"], size)}
        facts = record.facts
        if cell.learning_rate == 0.001:
            settings = facts["settings"]
            diverged = settings["FT_permuted_labels"] | {"status": "diverged at step 1 (a weight)"}
            facts = facts | {"settings": settings | {"FT_permuted_labels": diverged}}
        folder.save_cell(key, CellRecord(record.tensors | tensors, facts))
    return folder


def test_matching_is_read_at_the_rate_nearest_in_size_where_sets_reach_no_common_size(
    finished: tuple[Study, RunFolder], tmp_path: Path
) -> None:
    """Between methods that is no common size, but a matrix is of one method, and needs none. A rate at which a side was
    not measured does not count: labels are compared at the next, sets at the nearest."""
    study, run = finished
    folder = without_common_size(finished, tmp_path / "run")
    by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(study, folder)["claims"]}
    matrices = pd.read_parquet(run.path / "matching.parquet")
    own = matrices[(matrices.metric == "sim_aou") & (matrices.method == "GD") & matrices.step.isna()]
    matched = own[own.icl_seed == own.ft_seed].groupby(["learning_rate", "setting"]).value.mean()
    for claim, expected in (
        ("specificity", matched[0.001, "FT"]),
        ("label-specificity", matched[0.01, "FT"] - matched[0.01, "FT_permuted_labels"]),
    ):
        [of_gd] = [
            comparison
            for comparison in by_claim[claim]
            if comparison["left_side"]["metric"] == "sim_aou" and comparison["left_side"]["method"] == "GD"
        ]
        assert "the learning rate whose updates are nearest in size to ICL's" in of_gd["place"]
        assert of_gd["left"] == pytest.approx(expected, abs=1e-5)
    assert all("no common size" in comparison["reason"] for comparison in by_claim["lcgd-above-gd"])


def test_a_rate_that_wrecks_the_model_is_no_objection_to_what_is_compared_at_a_smaller_size(
    finished: tuple[Study, RunFolder],
) -> None:
    study, folder = finished
    wrecked = {
        "model": study.model,
        "weights": "trained",
        "initialisation": 0,
        "task": "sst2",
        "labels": "gold",
        "k": 3,
        "method": "GD 0.1",
        "check": "update_size",
        "passed": False,
        "message": "",
    }
    folder.write_json("validity.json", [wrecked])
    for variant, objection in ((study, False), (with_rates(study, RATES[2:], RATES[:1]), True)):
        by_claim = {claim["name"]: claim["comparisons"] for claim in check_claims(variant, folder)["claims"]}
        reasons = {comparison["reason"] for comparison in by_claim["lcgd-above-gd"]}
        assert any(reason.startswith("updates of an absurd size") for reason in reasons) == objection
