"""Facts about claims: scores that differ decide them, equal scores leave them open, few seeds decide nothing."""

import html
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from math import factorial, nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.cli.test_mistakes import call
from tests.study.conftest import key_of_cell, small_settings

import demograd
from demograd.cli.tables import print_claims, print_scores
from demograd.report import read_run, write_report
from demograd.statistics import SEEDS_FOR_SPECIFICITY, holm
from demograd.statistics.number import estimate
from demograd.study import RunFolder, Study, cells, make_study, run_study
from demograd.study.claims import claims as all_claims
from demograd.study.language_model.claim_sides import pairs
from demograd.study.language_model.claims import check_claims
from demograd.study.language_model.grid import World
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.objections import Validity, objection_to
from demograd.words import NO_VERDICTS, WRITE_VERDICTS, Labels, Weights

Comparisons = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def finished(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A finished study of seven demonstration sets, as specificity needs, on a random model, which learns nothing."""
    settings = small_settings(
        small_model,
        weights=["trained"],
        methods=["GD"],
        learning_rates={"GD": [0.01]},
        seeds=[*range(7)],
        controls=[],
    )
    study = make_study(settings)
    return study, run_study(study, tmp_path_factory.mktemp("claims") / "run").folder.path


@pytest.fixture
def constructed(finished: tuple[Study, Path], tmp_path: Path) -> Callable[..., Comparisons]:
    """A function that gives that run's verdicts for a constructed SimAOU of FT on the same and on other sets."""
    study, out = finished

    def decide(same: float, other: float, seeds: int = 7, missing: int = 0) -> Comparisons:
        """Set the scores to `same` and `other`, and return the verdicts.

        Of eight queries, `missing` have no score in FT on the same demonstrations and a wild score in FT on other ones.
        """
        folder = RunFolder(shutil.copytree(out, tmp_path / "run"))
        folder.write_json("validity.json", [])  # as if the model had learned in context
        fewer = study.model_copy(update={"seeds": study.seeds[:seeds]})
        set_sim_aou(study, fewer, folder, same, other, missing)
        return comparisons(check_claims(fewer, folder))

    return decide


def set_sim_aou(study: Study, fewer: Study, folder: RunFolder, same: float, other: float, missing: int = 0) -> None:
    """Set the matrix of SimAOU in the cells of a study with fewer of these demonstration sets."""
    generator, inputs = torch.Generator().manual_seed(0), read_inputs(folder)
    for place, cell in enumerate(cells(fewer)):
        record = folder.load_cell(key_of_cell(study, cell, inputs))
        shape = record.tensors["FT/matching/sim_aou"][: len(fewer.seeds)].shape
        column = other + 0.05 * torch.randn(shape, generator=generator)
        column[:, :missing] += 0.9
        column[place] += same - other
        column[place, :missing] = nan
        record.tensors.update({"FT/matching/sim_aou": column, "FT/sim_aou": column[place].clone()})
        for name, tensor in [*record.tensors.items()]:
            if "matching" in name:
                record.tensors[name] = tensor[: len(fewer.seeds)].clone()
        folder.save_cell(key_of_cell(fewer, cell, inputs), record)


def comparisons(checked: dict[str, Any]) -> Comparisons:
    return {claim["name"]: claim["comparisons"] for claim in checked["claims"]}


def specificity_of_sim_aou(by_claim: Comparisons) -> dict[str, Any]:
    return next(comparison for comparison in by_claim["specificity"] if comparison["compared"].startswith("SimAOU,"))


@pytest.mark.parametrize(
    ("same", "other", "verdict"),
    [
        (0.6, 0.2, "supported"),
        (0.2, 0.6, "contradicted"),
        (0.4, 0.4, "not specific"),
        (0.02, 0.02, "undecided"),
    ],
)
def test_a_claim_is_decided_by_scores_that_differ_and_only_by_these(
    constructed: Callable[..., Comparisons], same: float, other: float, verdict: str
) -> None:
    comparison = specificity_of_sim_aou(constructed(same, other))
    assert comparison["verdict"] == verdict
    assert (
        comparison["difference"] == pytest.approx(same - other, abs=0.03)
        and comparison["ci_low"] < comparison["difference"]
    )
    assert (comparison["left"], comparison["right"]) == pytest.approx((same, other), abs=0.02)
    assert (comparison["ci_low"] <= 0 <= comparison["ci_high"]) == (same == other)


def test_both_sides_are_means_over_the_queries_that_every_pair_of_sets_has(
    constructed: Callable[..., Comparisons],
) -> None:
    comparison = specificity_of_sim_aou(constructed(0.6, 0.2, missing=2))
    assert comparison["left"] - comparison["right"] == pytest.approx(comparison["difference"], abs=1e-9)
    assert comparison["right"] == pytest.approx(0.2, abs=0.03)  # without the two wild ones
    # pairs of sets × queries that every pair has; sets on the diagonal × queries × layers
    assert (comparison["n"], comparison["n_missing"]) == (7 * 7 * 6, 7 * 2 * 2)


def test_updates_below_resolution_decide_nothing(constructed: Callable[..., Comparisons]) -> None:
    comparison = specificity_of_sim_aou(constructed(0.6, 0.2, missing=5))
    assert comparison["difference"] == pytest.approx(0.4, abs=0.1) and comparison["ci_low"] > 0
    assert comparison["verdict"] == "undecided" and comparison["reason"] == "most updates of GD are below resolution"


def test_a_cosine_in_one_dimension_decides_nothing(constructed: Callable[..., Comparisons]) -> None:
    """The task has two label words."""
    by_metric = constructed(0.6, 0.2)["prediction-specificity"]
    assert len(by_metric) == 2
    for comparison in by_metric:
        assert comparison["verdict"] == "undecided" and comparison["left"] is None
        assert comparison["reason"] == "with 2 label words a cosine is a sign"


def test_four_demonstration_sets_decide_nothing(constructed: Callable[..., Comparisons]) -> None:
    by_claim = constructed(0.9, 0.1, seeds=4)
    assert specificity_of_sim_aou(by_claim)["reason"] == "4 demonstration sets, fewer than 7"
    assert by_claim["above-random"][0]["reason"].startswith("4 demonstration seeds, fewer than 5")
    assert {comparison["verdict"] for of_claim in by_claim.values() for comparison in of_claim} == {"undecided"}


def test_six_demonstration_sets_decide_claims_but_none_about_specificity(
    constructed: Callable[..., Comparisons],
) -> None:
    by_claim = constructed(0.9, 0.1, seeds=6)
    assert specificity_of_sim_aou(by_claim)["reason"] == "6 demonstration sets, fewer than 7"
    assert by_claim["above-random"][0]["verdict"] == "supported"
    assert all_claims()["specificity"]["least_sets"] == SEEDS_FOR_SPECIFICITY


def test_p_values_are_corrected_over_the_comparisons_of_one_claim(constructed: Callable[..., Comparisons]) -> None:
    by_claim = constructed(0.6, 0.2)
    for name, of_claim in by_claim.items():
        asks_twice = all_claims()[name]["compare"].startswith("specific")  # for a difference, and for equality
        columns = ("p_value", "p_equal") if asks_twice else ("p_value",)

        family, corrected = (
            [nan if row[column] is None else row[column] for row in of_claim for column in pair]
            for pair in (columns, [f"{column.removesuffix('_value')}_corrected" for column in columns])
        )
        assert corrected == pytest.approx(holm(family).p_values, nan_ok=True)
    smallest = min(by_claim["specificity"], key=lambda comparison: comparison["p_value"])
    assert smallest["p_value"] == pytest.approx(2 / factorial(7)), "no other pairing is as good"
    assert len(by_claim["specificity"]) == 2 and smallest["p_corrected"] == pytest.approx(4 * smallest["p_value"])


def gates(study: Study, **outcomes: tuple[bool, bool]) -> list[dict[str, Any]]:
    """Rows of `validity.json` by check, each with whether it passed and whether it is undecided."""
    world = next(cells(study)).world
    return [
        {
            "model": world.model,
            "weights": "trained",
            "initialisation": 0,
            "task": world.task,
            "labels": "gold",
            "k": world.k,
            "check": check,
            "method": None if check == "in_context_learning" else "GD 0.01",
            "passed": passed,
            "undecided": undecided,
            "message": "",
        }
        for check, (passed, undecided) in outcomes.items()
    ]


@pytest.mark.parametrize(
    ("icl", "ft", "reason"),
    [
        ((True, False), (False, False), "fine-tuning learned nothing here"),
        ((True, False), (False, True), "undecided whether fine-tuning learned anything here"),
        ((False, False), (True, False), "no in-context learning here"),
        ((False, True), (True, False), "undecided whether there is in-context learning here"),
        ((True, False), (True, False), ""),
    ],
)
def test_a_claim_about_fine_tuning_needs_both_gates(
    finished: tuple[Study, Path], tmp_path: Path, icl: tuple[bool, bool], ft: tuple[bool, bool], reason: str
) -> None:
    study, out = finished
    folder = RunFolder(shutil.copytree(out, tmp_path / "run"))
    folder.write_json("validity.json", gates(study, in_context_learning=icl, fine_tuning=ft))
    by_claim = comparisons(check_claims(study, folder))
    for comparison in (*by_claim["specificity"], *by_claim["above-random"], *by_claim["normalisation-inflates"]):
        if reason:
            assert (
                comparison["reason"].startswith(reason)
                and comparison["p_corrected"] is None
                and comparison["verdict"] == "undecided"
            )
        else:
            assert comparison["p_corrected"] is not None


def test_the_finding_quotes_the_gate_of_the_cells_that_it_is_about(
    finished: tuple[Study, Path], tmp_path: Path
) -> None:
    study, out = finished
    folder = RunFolder(shutil.copytree(out, tmp_path / "run"))
    learning, tuning = gates(study, in_context_learning=(True, False), fine_tuning=(False, False))
    others = [tuning | {"method": label, "message": f"that of {label}"} for label in ("GD slow 0.01", "GD 0.02")]
    folder.write_json("validity.json", [learning, *others, tuning | {"message": "that of GD 0.01"}])
    assert "resemble: that of GD 0.01 (" in check_claims(study, folder)["finding"]["sentence"]


def test_what_gates_said_is_in_the_provenance_too(finished: tuple[Study, Path]) -> None:
    rows, provenance = (RunFolder(finished[1]).read_json(f"{name}.json") for name in ("validity", "provenance"))
    messages = [row["message"] for row in rows if row["check"] in ("in_context_learning", "fine_tuning")]
    assert len(provenance["gates"]) == len(messages) == 2
    assert all(line.endswith(message) for line, message in zip(provenance["gates"], messages, strict=True))
    assert "GD 0.01: fine-tuning learned nothing here" in provenance["gates"][1]


def test_format_and_the_base_rate_of_rec2ftp_are_in_the_table(finished: tuple[Study, Path]) -> None:
    table = pd.read_parquet(finished[1] / "results.parquet")
    whole = table[table.seed.isna() & table.layer.isna()]
    value = {(row.setting, row.metric): row.value for row in whole.itertuples()}
    for setting in ("ZSL", "ICL", "FT"):
        parts = value[setting, "format"] + value[setting, "normalised_label_log_likelihood"]
        assert parts == pytest.approx(value[setting, "label_log_likelihood"], abs=1e-5)
    assert 0 <= value["ICL", "rec2ftp_base_rate"] <= 1


def test_where_nothing_is_learned_in_context_nothing_is_decided_but_said_why(finished: tuple[Study, Path]) -> None:
    study, out = finished
    by_claim = comparisons(check_claims(study, RunFolder(out)))
    results = [comparison for of_claim in by_claim.values() for comparison in of_claim]
    assert results and {comparison["verdict"] for comparison in results} == {"undecided"}
    assert {comparison["reason"] for comparison in results} == {"no in-context learning here"}
    assert all(comparison["p_corrected"] is None for comparison in results)


def test_the_command_lists_what_the_run_can_say_and_what_the_rest_needs(
    finished: tuple[Study, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("claims", str(finished[1])) == 0
    output = " ".join(capsys.readouterr().out.split())
    decided, open_ = output.split("Cannot be decided here", maxsplit=1)
    claims = all_claims()
    assert claims["specificity"]["source"] in decided and "no in-context learning here" in decided
    for name in ("lcgd-above-gd", "equal-order-sensitivity", "icl-early", "trained-above-untrained"):
        assert claims[name]["claim"] in open_ and f"It needs {claims[name]['needs']}." in open_


def test_page_terminal_and_notebook_say_the_sentence_of_the_claims_file(
    finished: tuple[Study, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = finished
    record = check_claims(study, RunFolder(out))
    sentence = record["finding"]["sentence"]
    assert sentence.startswith("No in-context learning here: on sst2") and record["findings"] == [record["finding"]]
    assert demograd.open_run(out).finding == read_run(out).finding.sentence == sentence
    print_scores(out)
    print_claims(read_run(out))
    printed = " ".join(capsys.readouterr().out.split())
    page = " ".join(html.unescape(re.sub("<[^>]*>", "", write_report(out).read_text(encoding="utf-8"))).split())
    assert printed.count(sentence) == 2 and sentence in page


@pytest.mark.parametrize("older", ["no claims.json", "claims without a finding"])
def test_a_folder_without_verdicts_is_refused_with_the_sentence_of_its_page(
    finished: tuple[Study, Path], tmp_path: Path, older: str
) -> None:
    folder = RunFolder(shutil.copytree(finished[1], tmp_path / "run"))
    record = folder.read_json("claims.json")
    (folder.path / "claims.json").unlink()
    if older == "claims without a finding":
        folder.write_json("claims.json", {name: record[name] for name in ("correction", "claims")})
    with pytest.raises(demograd.UserError, match=re.escape(NO_VERDICTS)) as refused:
        _ = demograd.open_run(folder.path).finding
    assert refused.value.do.lower() == WRITE_VERDICTS
    assert read_run(folder.path).finding.reason == f"{NO_VERDICTS}; {WRITE_VERDICTS}"


def test_what_a_run_without_trained_weights_says_is_what_its_claims_decide(small_model: Path, tmp_path: Path) -> None:
    study = make_study(
        small_settings(
            small_model,
            weights=["no_training"],
            methods=["GD"],
            learning_rates={"GD": [0.01]},
            seeds=[*range(7)],
            controls=[],
            queries=4,
            measures=["similarity"],
        )
    )
    folder = run_study(study, tmp_path / "run").folder
    passed = gates(study, in_context_learning=(True, False), fine_tuning=(True, False))
    folder.write_json("validity.json", [row | {"weights": "no_training"} for row in passed])
    set_sim_aou(study, study, folder, 0.6, 0.0)
    record = check_claims(study, folder)
    row = specificity_of_sim_aou(comparisons(record))
    assert row["compared"].startswith("SimAOU, GD, no_training: FT") and row["verdict"] == "supported"
    assert record["finding"]["verdict"] == "supported" and "(no_training weights)" in record["finding"]["sentence"]
    numbers = estimate(row["difference"], row["ci_low"], row["ci_high"])
    assert numbers.with_bounds in record["finding"]["sentence"]


@pytest.fixture(scope="module")
def orders(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    settings = small_settings(
        small_model,
        weights=["trained"],
        methods=["GD", "GD-batch"],
        seeds=[0, 1, 2, 3, 4],
        orders=4,
        queries=6,
        learning_rates={"GD": [0.01], "GD-batch": [0.01]},
        measures=["order_sensitivity"],
        controls=[],
    )
    study = make_study(settings)
    return study, run_study(study, tmp_path_factory.mktemp("orders") / "run").folder


def test_only_full_batch_gradient_descent_is_insensitive_to_order(orders: tuple[Study, RunFolder]) -> None:
    """Shen 2023, Theorem 1. In float32, sums of gradients in another order differ in their last bits only."""
    table = pd.read_parquet(orders[1].path / "results.parquet")
    rows = table[(table.metric == "order_sensitivity") & table.seed.isna() & table.layer.isna()]
    value = {row.setting if pd.isna(row.method) else row.method: row.value for row in rows.itertuples()}
    assert 0 <= value["GD-batch"] < 1e-10
    assert value["GD"] > 1e3 * value["GD-batch"] and value["ICL"] > 1e3 * value["GD-batch"]


def test_icl_is_not_full_batch_gradient_descent(orders: tuple[Study, RunFolder]) -> None:
    study, folder = orders
    copy = RunFolder(shutil.copytree(folder.path, folder.path.with_name("constructed")))
    copy.write_json("validity.json", [])
    by_claim = comparisons(check_claims(study, copy))["equal-order-sensitivity"]
    of_batch = next(comparison for comparison in by_claim if "GD-batch" in comparison["compared"])
    assert of_batch["verdict"] == "contradicted" and of_batch["ci_low"] > 0
    assert of_batch["margin"] == pytest.approx(0.1 * of_batch["left"])
    assert of_batch["p_equal_corrected"] >= of_batch["p_equal"] > 0.05 > of_batch["p_corrected"]


def test_the_dual_form_is_the_same_whatever_fine_tuning_does_and_tested_once(finished: tuple[Study, Path]) -> None:
    study = finished[0].model_copy(update={"methods": {name: {"kind": name} for name in ("GD", "LCGD")}})
    [(left, right)] = pairs(study, all_claims()["dual-form-valid"])
    assert isinstance(left, dict) and left["method"] == "GD" and right == 0.5
    untuned = study.model_copy(update={"methods": {}})
    assert not list(pairs(untuned, all_claims()["dual-form-valid"]))


@pytest.mark.parametrize(("checkpoint", "objects"), [("first", False), ("last", True)])
def test_of_two_checkpoints_the_last_one_must_learn_in_context(checkpoint: str, objects: bool) -> None:
    """A checkpoint that learns nothing has no gain, and equal gains of zero support no claim."""
    worlds = [World(name, Weights.TRAINED, 0, "sst2", Labels.GOLD, 3, 0, 0) for name in ("first", "last")]
    sides = [
        {"metric": "gain_in_accuracy", "setting": "ICL", "model": name, "weights": "trained"}
        for name in ("last", "first")
    ]
    about = (checkpoint, "sst2", "gold", 3, "trained", 0, None)
    invalid: Validity = {("in_context_learning", about): "no in-context learning here"}
    objection = objection_to(invalid, all_claims()["icl-early"], worlds, sides, [], None)
    assert objection == "at the last checkpoint: no in-context learning here" * objects


def test_untrained_weights_are_a_baseline_beside_trained_ones_and_need_to_learn_where_they_stand_alone() -> None:
    claim = all_claims()["icl-early"] | {"only_last_must_learn": False}
    worlds = [
        World("tiny", Weights.TRAINED, 0, "sst2", Labels.GOLD, 3, 0, 0),
        World("tiny", Weights.NO_TRAINING, 1, "sst2", Labels.GOLD, 3, 0, 0),
    ]
    trained, untrained = (
        {"metric": "gain_in_accuracy", "setting": "ICL", "model": "tiny", "weights": weights}
        for weights in ("trained", "no_training")
    )
    about = ("tiny", "sst2", "gold", 3, "no_training", 1, None)
    invalid: Validity = {("in_context_learning", about): "no in-context learning here"}
    assert objection_to(invalid, claim, worlds, [trained, untrained], [], None) == ""
    assert objection_to(invalid, claim, worlds, [untrained, 0.5], [], None) == "no in-context learning here"
    other_initialisation = [worlds[0], replace(worlds[1], initialisation=2)]
    assert objection_to(invalid, claim, other_initialisation, [untrained, 0.5], [], None) == ""
