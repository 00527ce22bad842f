"""Runs beside each other: what stands for what, what is paired, what is refused, and that what is shown is so."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from tests.report.conftest import Fake, write_run
from tests.report.rows import claims, row, run_of
from tests.report.synthetic.rows import write_synthetic_run
from tests.report.test_page import Parsed

import demograd
from demograd.errors import UserError
from demograd.files import read_json, read_table, read_yaml, write_json, write_table, write_yaml
from demograd.report import ReportedRun, compare_runs
from demograd.report.compare.counterparts import counterparts
from demograd.report.compare.differences import score_differences
from demograd.report.subject import Variant

Folders = tuple[Path, Path]
SMALL: dict[str, Any] = {"layers": 1, "weights": ("trained",), "methods": ("GD",)}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two runs of the same study, the second with a faster GD, whose scores on each set are 0.1 higher."""
    first, second = (write_run(tmp_path / name, Fake(**SMALL)) for name in ("one", "two"))
    results = read_table(second / "results.parquet")
    is_tuned = results["method"] == "GD"
    shift = 0.1 + 0.01 * np.random.default_rng(1).standard_normal(len(results))
    results["value"] = results["value"].where(~is_tuned, results["value"] + shift)
    results["learning_rate"] = results["learning_rate"].where(~is_tuned, 0.002)
    write_table(second / "results.parquet", results)
    change(second, "study.yaml", learning_rates={"GD": [0.002]})
    return first, second


def change(folder: Path, file: str, **facts: Any) -> None:
    read, write = (read_yaml, write_yaml) if file.endswith("yaml") else (read_json, write_json)
    write(folder / file, {**read(folder / file), **facts})


def values_by_set(folder: Path, **about: Any) -> list[float]:
    rows = read_table(folder / "results.parquet")
    rows = rows[rows["seed"].notna() & rows["layer"].isna() & rows["versus"].isna()]
    for column, value in about.items():
        rows = rows[rows[column] == value]
    return [*rows.sort_values("seed")["value"].astype(float)]


def test_differences_of_the_same_sets_are_tested_set_by_set(folders: Folders) -> None:
    table = compare_runs(*folders).table()
    is_gd = (table["metric"] == "sim_aou") & (table["setting"] == "FT") & (table["method"] == "GD")
    (difference,) = table[is_gd & table["versus"].isna()].to_dict("records")
    about = {"metric": "sim_aou", "setting": "FT", "method": "GD"}
    left, right = (values_by_set(folder, **about) for folder in folders)
    expected = stats.ttest_rel(right, left)
    assert difference["paired"] == "by set" and difference["n_sets"] == 8 and difference["outcome"] == "higher"
    assert difference["p_value"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (difference["ci_low"], difference["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert difference["p_value"] <= difference["p_corrected"]


def with_queries(folder: Path, sim_aou: np.ndarray, log_probs: np.ndarray) -> None:
    """Give the folder SimAOU and log-probabilities of GD by set and query, and results that follow from them; every
    second query is of the second class."""
    results, rows = read_table(folder / "results.parquet"), []
    is_gd = (results["setting"] == "FT") & (results["method"] == "GD") & results["layer"].isna()
    gold = np.arange(sim_aou.shape[1]) % 2
    right = np.take_along_axis(log_probs, gold[None, :, None], axis=-1)[..., 0]
    top = log_probs == log_probs.max(axis=-1, keepdims=True)
    credit = np.where(right == log_probs.max(axis=-1), 1 / top.sum(axis=-1), 0.0)
    normalised = right - np.log(np.exp(log_probs).sum(axis=-1))
    scores = {"sim_aou": sim_aou, "accuracy": credit, "label_log_likelihood": right, "format": right - normalised}
    for metric, values in {**scores, "normalised_label_log_likelihood": normalised}.items():
        for seed, of_set in enumerate(values):
            of_metric = is_gd & (results["metric"] == metric) & results["versus"].isna() & (results["seed"] == seed)
            assert of_metric.sum() == 1
            results.loc[of_metric, "value"] = of_set.mean()
    write_table(folder / "results.parquet", results)
    about = results[is_gd].iloc[0][["model", "weights", "task", "labels", "k", "method", "method_options"]].to_dict()
    about |= {"learning_rate": results[is_gd].iloc[0]["learning_rate"], "initialisation": 0, "setting": "FT"}
    for (seed, query), similarity in np.ndenumerate(sim_aou):
        row = {"seed": seed, "query": query, "label_words": ["bad", "good"], "gold": ["bad", "good"][query % 2]}
        row |= {"label_log_probs": log_probs[seed, query].tolist(), "sim_aou": similarity, "status": "ok"}
        rows.append(about | row)
    write_table(folder / "queries.parquet", pd.DataFrame(rows[::-1]))  # in whatever order


def test_where_every_query_has_a_value_it_is_paired_by_query_too(folders: Folders) -> None:
    random = np.random.default_rng(3)
    sim_aou, log_probs = random.random((2, 8, 12)), np.log(random.dirichlet(np.ones(3), size=(2, 8, 12))[..., :2])
    log_probs[:, :, :3] = -1.0  # tied
    for folder, similarities, of_classes in zip(folders, sim_aou, log_probs, strict=True):
        with_queries(folder, similarities, of_classes)
    table = compare_runs(*folders).table()
    table = table[(table["setting"] == "FT") & table["versus"].isna()].set_index("metric")
    by_query = ["sim_aou", "accuracy", "label_log_likelihood", "normalised_label_log_likelihood", "format"]
    assert {*table.index[table["paired"] == "by set and query"]} == {*by_query}
    assert {*table["paired"]} == {"by set and query", "by set"}
    expected = demograd.statistics.paired_test(torch.from_numpy(sim_aou[1] - sim_aou[0]))
    assert expected.interval is not None
    measured = table.loc["sim_aou", ["difference", "ci_low", "ci_high", "p_value", "n_sets"]].astype(float)
    exact = [expected.difference, expected.interval.low, expected.interval.high, expected.p_value, 8]
    assert [*measured] == pytest.approx(exact)


def test_what_is_not_known_of_every_query_is_paired_by_set(folders: Folders) -> None:
    """In one run a query of one set has no SimAOU; and the likelihoods in its results are not those of its queries."""
    random = np.random.default_rng(3)
    log_probs = np.log(random.dirichlet(np.ones(3), size=(8, 12))[..., :2])
    for folder in folders:
        with_queries(folder, random.random((8, 12)), log_probs)
    queries, results = (read_table(folders[1] / name) for name in ("queries.parquet", "results.parquet"))
    queries.loc[5, "sim_aou"] = np.nan
    write_table(folders[1] / "queries.parquet", queries)
    is_format = (results["metric"] == "format") & (results["setting"] == "FT")
    write_table(folders[1] / "results.parquet", results.assign(value=results["value"] + 0.01 * is_format))
    table = compare_runs(*folders).table()
    table = table[(table["setting"] == "FT") & table["versus"].isna()].set_index("metric")
    assert {*table.loc[["sim_aou", "format"], "paired"]} == {"by set"}
    assert table.loc["accuracy", "paired"] == "by set and query" and table.loc["accuracy", "outcome"] == "identical"


def test_other_sets_are_tested_as_two_samples_and_it_is_said_why(folders: Folders) -> None:
    change(folders[1], "study.yaml", query_seed=2, seeds=[*range(1, 9)])
    comparison = compare_runs(*folders)
    differences = comparison.differences["B"]
    assert {difference.paired for difference in differences} == {"no"}
    assert {difference.why_unpaired for difference in differences} == {("seeds", "query seed")}
    (of_gd,) = (
        difference
        for difference in differences
        if (difference.score.metric, difference.score.setting, difference.score.versus) == ("sim_aou", "FT", None)
        and difference.variants[0].method == "GD"
    )
    about = {"metric": "sim_aou", "setting": "FT", "method": "GD"}
    left, right = (values_by_set(folder, **about) for folder in folders)
    assert of_gd.test.p_value == pytest.approx(stats.ttest_ind(right, left, equal_var=False).pvalue)


def test_what_differs_is_said_first_settings_before_machines(folders: Folders) -> None:
    change(folders[1], "provenance.json", versions={"python": "3.11.2", "torch": "9.0"}, seconds=1.0)
    settings = compare_runs(*folders).settings
    assert [row.name for row in settings] == ["learning_rates.GD", "versions.torch", "versions.transformers"]
    assert [row.is_provenance for row in settings] == [False, True, True]
    assert settings[-2].texts == ("2.13.0", "9.0") and settings[-1].texts == ("5.0.0", "–")


def variant(**about: Any) -> Variant:
    whole: dict[str, Any] = dict.fromkeys(Variant.__dataclass_fields__)
    words = {"dtype": "float32", "record_at": "prompt_end", "selection": "all", "task": "mr", "weights": "trained"}
    return Variant(**{**whole, **words, "model": "tiny", "method": "GD", **about})


def test_a_field_of_which_each_run_has_one_value_need_not_agree() -> None:
    own, other = variant(model="small", learning_rate=0.1, k=8), variant(model="large", learning_rate=0.2, k=16)
    assert counterparts([own], [other]) == [(own, other)]
    untuned = replace(own, method=None)
    assert counterparts([untuned], [other]) == []
    assert counterparts([own], [replace(other, task="sst2")]) == []


def test_a_field_of_which_a_run_has_several_values_must_agree() -> None:
    slow, fast = variant(learning_rate=0.1), variant(learning_rate=0.2)
    assert counterparts([slow, fast], [fast]) == [(fast, fast)]
    gd, lcgd = variant(), variant(method="LCGD")
    assert counterparts([gd, lcgd], [lcgd]) == [(lcgd, lcgd)]
    assert counterparts([gd], [lcgd]) == [(gd, lcgd)]


def test_specificities_of_the_same_sets_are_those_of_the_matrix_of_differences(folders: Folders) -> None:
    runs = [with_matrices(folder, specificity) for folder, specificity in zip(folders, (0.0, 0.2), strict=True)]
    (specific,) = (
        difference for difference in score_differences(runs[0], runs[1:])[0] if difference.score.versus == "other_sets"
    )
    assert specific.paired == "by set" and specific.outcome == "higher"
    differences = 0.2 + 0.01 * np.arange(8)  # on the diagonal, and nothing beside it
    assert specific.test.difference == pytest.approx(differences.mean())
    assert specific.test.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def with_matrices(folder: Path, specificity: float, sets: int = 8) -> ReportedRun:
    about: dict[str, Any] = {"method": "GD", "method_options": "{}", "learning_rate": 0.01}
    facts = {"labels": "gold", "k": 16, "model": "tiny", "weights": "trained", "task": "mr"}
    score = row("sim_aou", "FT", specificity, versus="other_sets", **{**about, **facts})
    random = np.random.default_rng(0).standard_normal((8, 8))

    matrix = pd.DataFrame(
        {
            **facts,
            **about,
            "learning_rate": score["learning_rate"],
            "method_options": score["method_options"],
            "initialisation": 0,
            "setting": "FT",
            "step": None,
            "metric": "sim_aou",
            "icl_seed": icl,
            "ft_seed": ft,
            "value": random[icl, ft] + (specificity + 0.01 * icl * (specificity > 0)) * (icl == ft),
        }
        for icl in range(sets)
        for ft in range(sets)
    )
    tasks = {"mr": {"fingerprint": "cd34"}}
    return replace(run_of(score), path=folder, matching=matrix, provenance={"tasks": tasks})


def test_what_diverged_is_not_tested_and_says_why(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", Fake(**SMALL))
    diverged = write_run(tmp_path / "diverged", Fake(**SMALL, diverged="GD"))
    differences = compare_runs(whole, diverged).differences["B"]
    of_gd = [
        difference
        for difference in differences
        if (difference.variants[0].method, difference.variants[0].weights) == ("GD", "trained")
    ]
    assert of_gd and all(isnan(difference.test.difference) for difference in of_gd)
    assert {difference.decision.reason for difference in of_gd} == {"diverged at step 12 (8 of 8 demonstration sets)"}


def test_verdicts_stand_side_by_side(folders: Folders) -> None:
    for folder in folders:
        change(folder, "claims.json", **claims())
    changed = read_json(folders[1] / "claims.json")
    comparison = changed["claims"][0]["comparisons"][0]
    before, comparison["verdict"] = comparison["verdict"], "not specific"
    write_json(folders[1] / "claims.json", changed)
    verdicts = compare_runs(*folders).verdicts
    assert [verdict.verdicts for verdict in verdicts if not verdict.is_same] == [(before, "not specific")]
    assert {verdict.change for verdict in verdicts} == {"same", "changed"}


def test_the_page_has_the_table_and_escapes_what_runs_say(folders: Folders) -> None:
    change(folders[1], "study.yaml", template="<script>alert(1)</script>{text}")
    comparison = demograd.compare(*folders)
    page = comparison.write()
    assert page == folders[0].resolve().parent / "compare.html"
    text = page.read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert "unsafe-inline" not in text and "prefers-color-scheme: dark" in text
    assert "<script" not in text and "<script>alert(1)</script>{text}" in parsed.text
    assert "learning_rates.GD" in parsed.text and "▲ higher" in parsed.text
    other = comparison.write(folders[0].parent / "other.html")
    assert other.read_text(encoding="utf-8") == text


def test_of_three_runs_the_others_are_compared_with_the_first(folders: Folders, tmp_path: Path) -> None:
    third = write_run(tmp_path / "three", Fake(**SMALL))
    table = compare_runs(*folders, third).table()
    assert {*table["run"]} == {"B", "C"}
    same = table[(table["run"] == "C") & (table["difference"] == 0)]
    assert len(same) and {*same["outcome"]} == {"identical"} and same["p_value"].isna().all()


def test_the_differences_of_three_runs_are_corrected_together(folders: Folders, tmp_path: Path) -> None:
    third = shutil.copytree(folders[1], tmp_path / "three")
    of_two, of_three = compare_runs(*folders).table(), compare_runs(*folders, third).table()
    about = "metric == 'sim_aou' and setting == 'FT' and method == 'GD' and versus.isnull() and run == 'B'"
    alone, together = (table.query(about)["p_corrected"].item() for table in (of_two, of_three))
    assert together > alone


def test_specificities_take_more_sets_than_scores(folders: Folders) -> None:
    runs = [with_matrices(folder, specificity, 6) for folder, specificity in zip(folders, (0.0, 0.2), strict=True)]
    (specific,) = score_differences(runs[0], runs[1:])[0]
    assert specific.test.p_value < 0.001 and specific.outcome == "open"
    assert specific.decision.reason == "6 demonstration sets, and a specificity takes 7"


@pytest.mark.parametrize("tasks", [["mr"], {}, None])
def test_data_that_are_not_recorded_are_not_taken_for_the_same(folders: Folders, tasks: Any) -> None:
    for folder in folders:
        change(folder, "provenance.json", tasks=tasks)
    differences = compare_runs(*folders).differences["B"]
    assert {difference.why_unpaired for difference in differences} == {("the data (not recorded)",)}
    assert {difference.paired for difference in differences} == {"no"}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (lambda own, other: [own], "1 run folder to compare"),
        (lambda own, other: [own, own], "named twice"),
        (lambda own, other: [own, write_synthetic_run(own.parent / "synthetic")], "of small networks"),
        (lambda own, other: [own, write_run(own.parent / "far", Fake(**SMALL, tasks=("trec",)))], "No task is in all"),
        (lambda own, other: [own, own.parent], "study.yaml"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    others: Callable[[Path, Path], list[Path]], words: str, folders: Folders
) -> None:
    with pytest.raises(UserError, match=words):
        compare_runs(*others(*folders))


def test_small_networks_are_compared_by_training_seed(tmp_path: Path) -> None:
    runs = [write_synthetic_run(tmp_path / name) for name in ("one", "two")]
    table = compare_runs(*runs).table()
    losses = table[(table["metric"] == "loss") & table["method"].isna()]
    assert len(losses) and (losses["difference"].dropna() == 0).all()
