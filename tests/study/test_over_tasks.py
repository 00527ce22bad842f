"""Means over tasks: each task counts once, their variances add, and a task without a score leaves none over all."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tests.study.conftest import small_settings

from demograd import charts
from demograd.errors import UserError
from demograd.files import write_table
from demograd.published import published_by_layer
from demograd.report import read_run
from demograd.report.paper.results_table import results_table
from demograd.report.section import Figure
from demograd.report.sections.layers import layers_section
from demograd.report.sections.over_tasks import over_tasks_section
from demograd.statistics.estimated_mean import EstimatedMean
from demograd.study import make_study, run_study
from demograd.study.language_model.over_tasks import ScoreOfTask, _at_one_rate_each, _mean_over_tasks, _Task
from demograd.words import ALL_TASKS, Row, Setting

RATES = {"subj": [0.01], "mr": [0.02]}


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two tasks, each at a rate of its own."""
    settings = small_settings(
        small_model,
        weights=["trained"],
        tasks=["subj", "mr"],
        queries=4,
        methods=["GD"],
        learning_rates={"GD": RATES},
        controls=[],
    )
    return Path(run_study(make_study(settings), tmp_path_factory.mktemp("tasks") / "run").folder.path)


def test_each_task_counts_once_over_all_layers_and_in_each(folder: Path) -> None:
    results = pd.read_parquet(folder / "results.parquet")
    scores = results[(results.metric == "sim_aou") & results.versus.isna() & results.seed.isna()]
    for setting in ("FT", "FT_other_sets"):
        for layer in (None, 0, 1):
            of_layer = scores[
                (scores.setting == setting) & (scores.layer.isna() if layer is None else scores.layer == layer)
            ]
            by_task = of_layer.set_index("task")
            mean = by_task.loc[ALL_TASKS]
            assert mean.value == pytest.approx((by_task.value["subj"] + by_task.value["mr"]) / 2)
            assert pd.isna(mean.learning_rate) and mean.n_seeds == 6
            assert mean.ci_low < mean.value < mean.ci_high
            assert mean.n == by_task.n["subj"] + by_task.n["mr"]
    of_sets = results[(results.metric == "sim_aou") & (results.setting == "FT") & results.seed.notna()]
    whole = scores[(scores.task == ALL_TASKS) & (scores.setting == "FT") & scores.layer.isna()]
    assert whole["std"].item() == pytest.approx(of_sets[of_sets.layer.isna() & of_sets.versus.isna()].value.std())


def test_the_page_and_the_papers_table_have_a_row_over_all_tasks_and_nothing_takes_them_for_a_task(
    folder: Path,
) -> None:
    run = read_run(folder)
    assert set(run.results["task"].dropna()) == {"subj", "mr"}
    section = over_tasks_section(run)
    assert section is not None
    (table,) = section.parts
    assert [head.text for head in table.heads] == ["method, weights", "subj", "mr", "mean of tasks"]  # type: ignore[union-attr]
    group = next(group for group in table.groups if group.title == "SimAOU")  # type: ignore[union-attr]
    *tasks, mean = (entry.number.value for entry in group.rows[0].entries if entry.number)
    assert mean == pytest.approx(sum(value for value in tasks if value is not None) / 2)
    assert "published 0.115" in group.rows[0].entries[-1].under, "of Subj and MR, 0.06 and 0.17"
    layers = layers_section(run)
    assert layers is not None and {figure.title for figure in layers.parts} == {"subj", "mr", ALL_TASKS}
    for task, n_figures in ((ALL_TASKS, 1), ("mr", 1), ([ALL_TASKS, "mr"], 2)):
        drawing = charts.layers(run, metric="sim_aou", task=task).to_dict()
        assert len(drawing["vconcat"]) == 2 * n_figures, "each with its legend"
    with pytest.raises(UserError, match="task 'trec'"):
        charts.layers(run, task="trec")
    paper = results_table(run)
    assert paper is not None and paper.table.groups[-1].title == f"mean over {ALL_TASKS}"


def test_the_logs_by_layer_stand_beside_the_same_metric_over_all_tasks(folder: Path) -> None:
    run = read_run(folder)
    section = layers_section(run)
    assert section is not None
    *tasks, whole = (part for part in section.parts if isinstance(part, Figure))
    assert [chart.title for chart in whole.charts] == ["SimAOU", "SimAM_Δ", "SimAOU_norm"]
    assert [key.label for key in whole.legend][-1] == "GD, published"
    for figure in tasks:
        assert {chart.title for chart in figure.charts} == {"SimAOU", "SimAM_Δ"}
        assert "published" not in str(figure.legend)
    for chart, metric in zip(whole.charts, ("sim_aou", "sim_am_delta", "sim_aou_norm"), strict=True):
        published = published_by_layer(["subj", "mr"], metric, "GD")
        picture = chart.drawing.to_dict()
        rows = [row for rows in picture["datasets"].values() for row in rows if row["setting"] == "published"]
        assert (published is None) == (not rows) == ("published" not in chart.description)
        if published is not None:
            assert [row["value"] for row in rows] == pytest.approx(published.to_list())
            assert (rows[0]["layer"], rows[-1]["layer"]) == (0, 1), "24 layers over the depth of two"
            assert {(row["label"], row["weights"]) for row in rows} == {("GD", "trained")}
    (note,) = [note for note in section.notes if note.startswith("Published")]
    assert "24 layers" in note and "SimAOU_norm and not SimAOU" in note and "half precision" in note
    assert "k and the queries differ from those of this run" in note
    assert "uniform in [0, 1)" not in note, "which is of the random update alone"


def test_nothing_published_stands_beside_other_label_words(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "results.parquet"
    results = pd.read_parquet(path)
    write_table(path, results.assign(labels=results["labels"].where(results["labels"].isna(), "abstract")))
    run = read_run(tmp_path / "run")
    over_tasks, layers = over_tasks_section(run), layers_section(run)
    assert over_tasks is not None and layers is not None
    assert "ublished" not in str(over_tasks)
    assert "ublished" not in str(layers.notes)
    assert "published" not in str([part.legend for part in layers.parts if isinstance(part, Figure)])


def test_no_log_stands_beside_tasks_that_it_lacks(folder: Path) -> None:
    run = read_run(folder)
    section = layers_section(replace(run, study={**run.study, "tasks": ["subj", "trec"]}))
    assert section is not None and "ublished" not in str(section.notes)
    assert "published" not in str([part.legend for part in section.parts if isinstance(part, Figure)])


def of_task(*of_sets: float, variance: float = 0.01, n_diverged: int = 0) -> ScoreOfTask:
    mean = EstimatedMean(sum(of_sets) / len(of_sets), variance, 4.0, "demonstrations", len(of_sets), 10)
    return ScoreOfTask(list(of_sets), None if n_diverged else mean, 10 * len(of_sets), 0, n_diverged)


def test_variances_add_and_a_task_with_more_sets_counts_no_more() -> None:
    row = Row(metric="sim_aou", setting=Setting.FT)
    few, many = of_task(0.1, 0.2, 0.3), of_task(*[0.6] * 9)
    mean = _mean_over_tasks([few, many], row)
    assert mean.value == pytest.approx(0.4) and mean.n_seeds == 12
    assert mean.ci_low is not None and mean.ci_high is not None
    # two variances of 0.01, over 2², with 8 degrees of freedom
    assert (mean.ci_high - mean.ci_low) / 2 == pytest.approx(2.306 * (0.02 / 4) ** 0.5, rel=1e-3)


def test_a_task_without_a_score_leaves_none_over_all() -> None:
    row = Row(metric="sim_aou", setting=Setting.FT)
    for task in (of_task(float("nan")), of_task(0.1, float("inf"), n_diverged=3)):
        assert _mean_over_tasks([of_task(0.1, 0.2, 0.3), task], row).value is None
    diverged = _mean_over_tasks([of_task(0.1, 0.2, 0.3), of_task(0.1, float("inf"), n_diverged=3)], row)
    assert diverged.status is not None and diverged.status.startswith("diverged: 3 of")
    fewer = replace(of_task(0.1, 0.2), estimate=None)
    assert _mean_over_tasks([of_task(0.1, 0.2, 0.3), fewer], row).ci_low is None


def test_tasks_are_averaged_at_rates_that_all_have_or_at_the_one_rate_of_each() -> None:
    task = _Task("ok", {})
    assert [rate for rate, _ in _at_one_rate_each({"a": {0.1: task, 0.2: task}, "b": {0.2: task, 0.3: task}})] == [0.2]
    assert [rate for rate, _ in _at_one_rate_each({"a": {0.1: task}, "b": {0.2: task}})] == [None]
    assert not [*_at_one_rate_each({"a": {0.1: task, 0.2: task}, "b": {0.3: task}})], "no rate of a is b's"
    assert not [*_at_one_rate_each({"a": {0.1: task}})], "one task is no mean over tasks"
