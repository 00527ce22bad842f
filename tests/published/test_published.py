"""The papers' numbers: that they are the papers', what they were averaged from, and how they stand beside others."""

import math

import pandas as pd
import pytest
import torch

from demograd import published
from demograd.errors import UserError
from demograd.metrics import METRICS
from demograd.statistics import aggregate, over_seeds

LOGGED = ("sim_aou_norm", "sim_am_delta")


@pytest.mark.parametrize("metric", LOGGED)
def test_the_released_logs_average_to_what_table_2_prints(metric):
    logs = published.table("deutch2024-per-layer").query("metric == @metric")
    printed = published.table("deutch2024-table2").query("metric == @metric").set_index(["task", "method"])
    assert len(printed) == 12
    for (task, method), runs in logs.groupby(["task", "method"]):
        layers = [run.sort_values("layer")["mean"].to_list() for _, run in runs.groupby("seed")]
        assert [len(values) for values in layers] == [24, 24, 24]
        # a log holds means over queries: each is one query to the aggregation
        score = over_seeds([aggregate(torch.tensor([values], dtype=torch.float64)).value for values in layers])
        row = printed.loc[(task, method)]
        assert f"{score.mean:.2f} ± {score.std:.2f}" == f"{row['mean']:.2f} ± {row['std']:.2f}", (task, method)


def test_a_deviation_divided_by_n_would_not_be_what_table_2_prints():
    # AG News, GD: three seeds whose scores differ enough for the two deviations to print differently
    logs = published.table("deutch2024-per-layer").query("task == 'agnews' and method == 'GD' and metric == @LOGGED[0]")
    scores = logs.groupby("seed")["mean"].mean()
    assert (round(scores.std(ddof=1), 2), round(scores.std(ddof=0), 2)) == (0.04, 0.03)


SIZES = {
    "deutch2024-table1": 30,
    "deutch2024-table2": 48,
    "deutch2024-table3": 18,
    "deutch2024-settings": 18,
    "deutch2024-per-layer": 3 * 864,
    "vonoswald2023a-notebooks": 1,
    "ahn2023-losses": 19,
}


def test_every_table_is_whole_and_has_the_same_columns():
    tables = {name: published.table(name) for name in published.table_names()}
    assert {name: len(table) for name, table in tables.items()} == SIZES
    assert len({tuple(table.columns) for table in tables.values()}) == 1
    assert not any(
        table[["source", "table", "task", "metric", "mean"]].isna().any(axis=None) for table in tables.values()
    )
    with pytest.raises(UserError, match="deutch2024-table1"):
        published.table("deutch2024-table4")


def test_table_1s_trained_row_is_table_2s_gd_row():
    first, second = published.table("deutch2024-table1"), published.table("deutch2024-table2")
    trained = first[first.weights == "trained"].set_index(["metric", "task"])[["mean", "std"]]
    gd = second[second.method == "GD"].set_index(["metric", "task"])[["mean", "std"]]
    pd.testing.assert_frame_equal(trained, gd.loc[trained.index])


def test_scores_of_table_2_go_by_the_names_of_our_metrics():
    assert set(published.table("deutch2024-table2").metric) == {"sim_aou_norm", "sim_aou", "sim_am", "sim_am_delta"}
    assert set(published.table("deutch2024-table2").metric) <= METRICS.keys()


CONCERNED = {  # counted in the tables by hand
    "different-orders": 30 + 48 + 12 + 2 * 864,
    "final-norm-lost": 20,
    "norms-kept": 9,
    "repeats-trained": 1,
    "probably-normalised": 9,
    "more-trained-than-shown": 6 + 16 + 864,
    "recorded-behind-the-prompt": 30 + 48 + 3 * 864,
    "eos-separator": 30 + 48 + 3 * 864,
    "half-precision": 30 + 48 + 3 * 864,
    "sample-deviation": 78,
    "random-not-centred": 864,
    "other-splits": 12,
    "characters": 6,
    "norms-accumulate": 0,
}


def test_each_caveat_concerns_the_numbers_that_it_is_about():
    rows = [row for name in published.table_names() for row in published.table(name).to_dict("records")]
    counted = {caveat.name: sum(caveat.applies_to(row) for row in rows) for caveat in published.caveats()}
    assert counted == CONCERNED


def test_a_measured_gradient_norm_has_its_caveat_though_no_number_was_printed():
    assert [caveat.name for caveat in published.caveats_of({"metric": "gradient_norm"})] == ["norms-accumulate"]


def test_the_no_training_cell_that_repeats_the_trained_value_does_repeat_it():
    table = published.table("deutch2024-table1").set_index(["weights", "metric", "task"])[["mean", "std"]]
    same = [
        (metric, task)
        for weights, metric, task in table.index
        if weights == "no_training" and table.loc[(weights, metric, task)].equals(table.loc[("trained", metric, task)])
    ]
    assert same == [("sim_aou", "subj")]


def measured(**columns):
    row = {
        "model": "smollm2-135m",
        "weights": "trained",
        "task": "sst2",
        "method": "GD",
        "metric": "sim_aou",
        "value": 0.08,
        "std": 0.03,
        "n_seeds": 5,
    }
    return pd.DataFrame([row | columns])


def test_a_measured_score_stands_beside_each_place_where_its_counterpart_is_printed():
    rows = published.beside(measured())
    assert rows["source"].to_list() == ["Deutch 2024, Table 1", "Deutch 2024, Table 2"]
    assert rows["published"].to_list() == [0.05, 0.05] and rows["published_std"].to_list() == [0.01, 0.01]
    assert all(math.isclose(difference, 0.03) for difference in rows["difference"])
    assert rows["n_seeds"].to_list() == [5, 5] and rows["published_n_seeds"].to_list() == [3, 3]
    assert not rows["same_model"].any()
    assert published.beside(measured(model="KoboldAI/fairseq-dense-1.3B"))["same_model"].all()


def test_like_stands_beside_like_where_a_label_is_probably_wrong():
    labelled = published.beside(measured(weights="no_training"))
    assert labelled["published"].to_list() == [0.09] and labelled["read_as"].isna().all()
    assert any("only layer norms were kept" in says for says in labelled["caveats"][0])
    held = published.beside(measured(weights="norms_only", metric="sim_aou_norm"))
    assert held["published"].to_list() == [0.09]
    assert held["read_as"].to_list() == ["weights = norms_only, metric = sim_aou_norm"]
    assert published.beside(measured(weights="norms_only")).empty
    embeddings = published.beside(measured(weights="trained_embeddings", metric="sim_aou_norm", task="mr"))
    assert embeddings[["published", "read_as"]].to_numpy().tolist() == [[0.24, "metric = sim_aou_norm"]]


def test_the_mean_over_the_six_tasks_is_the_average_that_table_2_prints():
    printed = {
        "sim_aou_norm": (0.187, 0.279),
        "sim_aou": (0.102, 0.167),
        "sim_am": (0.435, 0.283),
        "sim_am_delta": (0.267, 0.336),
    }
    six = ["sst2", "sst5", "mr", "subj", "agnews", "cb=my.jsonl"]
    for metric, averages in printed.items():
        for method, average in zip(("GD", "LCGD"), averages, strict=True):
            mean = published.published_average(six, metric, method, "trained")
            assert mean == pytest.approx(average, abs=0.0015), (metric, method)
    assert published.published_average(["sst2", "mr"], "sim_aou", "GD", "trained") == pytest.approx(0.11)
    assert published.published_average([*six, "trec"], "sim_aou", "GD", "trained") is None
    assert published.published_average(six, "sim_aou", "GD", "no_training") is None


SIX = ["sst2", "sst5", "mr", "subj", "agnews", "cb"]


def by_layer(metric, method, tasks=SIX):
    layers = published.published_by_layer(tasks, metric, method)
    assert list(layers.index) == list(range(24))
    return layers


@pytest.mark.parametrize("metric", LOGGED)
@pytest.mark.parametrize("method", ["GD", "LCGD"])
def test_the_logs_by_layer_have_the_averages_of_table_2_over_any_tasks(metric, method):
    for tasks in (SIX, ["mr", "cb=my.jsonl"]):
        average = published.published_average(tasks, metric, method, "trained")
        assert by_layer(metric, method, tasks).mean() == pytest.approx(average, abs=0.005)
    assert published.published_by_layer([*SIX, "trec"], metric, method) is None
    assert published.published_by_layer([], metric, method) is None
    assert published.published_by_layer(SIX, "sim_aou", method) is None


def test_the_logs_repeat_what_the_paper_says_of_figure_3_where_its_sim_aou_is_the_normalised_one():
    """Appendix B.2: of SimAOU, LCGD is above GD but in layers 1, 3 and the last; of SimAM_Δ it is in the first half but
    in layer 9, and GD is in layers 12 to 17. The logs have SimAOU_norm alone."""
    above = {metric: by_layer(metric, "GD") > by_layer(metric, "LCGD") for metric in LOGGED}
    assert [layer for layer, is_above in above["sim_aou_norm"].items() if is_above] == [1, 3, 23]
    assert [layer for layer, is_above in above["sim_am_delta"].items() if is_above and layer < 18] == [
        9,
        *range(12, 18),
    ]


def test_what_nobody_published_is_left_out_and_the_order_kept():
    rows = pd.concat([measured(task="trec"), measured(task="cb=my.jsonl"), measured(method="LCGD", task="agnews")])
    compared = published.beside(rows)
    assert compared["task"].to_list() == ["cb=my.jsonl", "cb=my.jsonl", "agnews"]
    assert compared["published"].to_list() == [0.11, 0.11, 0.13]
