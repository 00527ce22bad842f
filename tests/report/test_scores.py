"""The score table: specificity first, and words where there is no number."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demograd.report import read_run, score_table
from demograd.statistics.number import Number, formatted

MakeRun = Callable[..., Path]


def test_specificity_leads_and_plain_scores_follow(run: MakeRun) -> None:
    names = list(score_table(read_run(run()).results).columns)
    assert names[:5] == [
        "method",
        "weights",
        "learning rate",
        "SimAOU",
        "SimAOU, mismatched",
    ]
    assert names[5:7] == ["SimAOU, specificity vs other sets", "SimAOU, specificity vs permuted labels"]
    assert names.index("SimAOU_norm") > names.index("SimAM_Δ, specificity vs permuted labels")
    assert names.index("random SimAOU") > names.index("SimAM") > names.index("SimAOU_norm")


def test_trained_weights_come_before_untrained_ones(run: MakeRun) -> None:
    table = score_table(read_run(run()).results)
    assert list(zip(table["method"], table["weights"], strict=True)) == [
        ("GD", "trained"),
        ("GD", "no_training"),
        ("LCGD", "trained"),
        ("LCGD", "no_training"),
    ]


def test_a_cell_without_a_number_says_why(run: MakeRun) -> None:
    table = score_table(read_run(run(diverged="LCGD")).results)
    diverged = table[(table.method == "LCGD") & (table.weights == "trained")].iloc[0, 3:].filter(regex="^(?!random)")
    assert set(diverged) == {"diverged at step 12 (8 of 8 demonstration sets)"}
    assert "nan" not in table.to_string().lower()


def test_no_deviation_is_shown_under_three_demonstration_sets(run: MakeRun) -> None:
    assert "±" not in score_table(read_run(run(seeds=2)).results).to_string()
    assert "±" in score_table(read_run(run(seeds=3)).results).to_string()


def test_a_learning_rate_that_varies_tells_rows_apart(run: MakeRun) -> None:
    results = read_run(run(methods=("GD", "LCGD"), weights=("trained",))).results
    results["method"] = results["method"].replace("LCGD", "GD")
    table = score_table(results)
    assert list(table["learning rate"]) == ["0.001", "0.003"]
    assert list(table["method options"]) == ["of GD", "of LCGD"]


@pytest.mark.parametrize(
    "low, high, bounds",
    [(-0.01, 0.015, "[−0.010, 0.015]"), (0.00004, 0.02, "[4e−5, 2.0e−2]"), (0.0, 0.1, "[0.00, 0.10]")],
)
def test_a_bound_that_is_not_zero_never_reads_as_zero(low: float, high: float, bounds: str) -> None:
    assert Number(0.01, None, low, high, False, 10, 0, 5, "ok").bounds == bounds


def test_numbers_have_a_true_minus_sign_and_no_negative_zero() -> None:
    assert (formatted(-0.0131), formatted(-0.0001)) == ("−0.013", "0.000")
