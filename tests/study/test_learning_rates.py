"""The rule behind the default learning rates, the sweep that it reads, and the search that made the sweep."""

from collections.abc import Sequence
from math import inf, sqrt
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.sweep_learning_rates import grid_rate, search

from demograd.errors import UserError
from demograd.study.language_model.spec import make_study
from demograd.study.spec.learning_rates import COLUMNS, TABLE, best_rate, default_rate, resolved
from demograd.words import Labels

SWEEP = pd.read_csv(TABLE)


def rows_of(
    ratios: dict[float, float | None], *, task: str = "sst2", labels: str = "gold", seed: int = 0, k: int = 16
) -> pd.DataFrame:
    """Rows of one demonstration set: rate → size ratio, None where it diverged."""
    about = {"model": "m", "task": task, "labels": labels, "method": "GD", "k": k, "seed": seed, "bos": "<s>"}
    return pd.DataFrame(
        [
            {
                **about,
                "learning_rate": rate,
                "update_size_ratio": ratio,
                "status": "diverged" if ratio is None else "ok",
            }
            for rate, ratio in ratios.items()
        ],
        columns=COLUMNS,
    )


def rule(sets: Sequence[pd.DataFrame]) -> tuple[float, bool] | None:
    best = best_rate(pd.concat(sets, ignore_index=True))
    return None if best is None else (best.rate, best.is_as_large)


def test_the_rule_interpolates_to_a_ratio_of_one_and_averages_sets_as_logarithms() -> None:
    # √10 times as far from 1 below as above: a quarter of the way down from 0.1, which is 10^-1.25
    assert rule([rows_of({0.01: 10**-0.75, 0.1: 10**0.25})]) == (0.056, True)
    # the order of the rows, and a later passing, do not matter
    assert rule([rows_of({1: 0.5, 0.1: 10**0.25, 0.01: 10**-0.75, 10: 3})]) == (0.056, True)
    assert rule([rows_of({0.01: 0.1, 0.1: 1}), rows_of({0.001: 0.1, 0.01: 1}, seed=1)]) == (0.032, True)


def test_a_task_with_more_sets_counts_no_more_in_the_mean_over_tasks() -> None:
    of_mr = [rows_of({0.01: 0.1, 0.1: 1}, task="mr", seed=seed) for seed in range(3)]
    assert rule([*of_mr, rows_of({0.0001: 0.1, 0.001: 1}, task="subj")]) == (0.01, True)


def test_where_it_diverges_before_the_rule_takes_the_largest_rate_that_does_not() -> None:
    assert rule([rows_of({0.01: 0.1, 0.03: 0.2, 0.1: None})]) == (0.03, False)
    # a rate between is no better where another set diverges below it
    assert rule([rows_of({0.1: 0.5, 1: 2}), rows_of({0.01: 0.3, 0.03: 0.4, 0.1: None}, seed=1)]) == (0.03, False)


@pytest.mark.parametrize("ratios", [{}, {0.1: 1.0}, {0.1: 0.5, 1: 0.9}, {0.1: 1.5, 1: 3}, {0.1: None, 1: None}])
def test_no_rate_at_the_edge_of_a_grid_is_the_best(ratios: dict[float, float | None]) -> None:
    assert best_rate(rows_of(ratios)) is None


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        rows_of({0.01: 0.1, 0.1: 1}, task="trec"),
        rows_of({0.0001: 0.1, 0.001: 1}, task="sst2"),
        rows_of({0.001: 0.1, 0.01: 1}, task="trec", labels="abstract", k=32),
    ]
    pd.concat(rows).to_csv(tmp_path / "rates.csv", index=False)
    return tmp_path / "rates.csv"


@pytest.mark.parametrize(
    ("task", "labels", "rate", "source"),
    [
        ("trec", "gold", 0.1, "trec from k = 16, prompts beginning with <s>"),
        ("trec", "abstract", 0.01, "trec with abstract labels from k = 32, prompts beginning with <s>"),
        ("sst2", "abstract", 0.001, "from with gold labels, for abstract ones were not swept, k = 16"),
        ("mr", "gold", 0.01, "mr from the mean over sst2, trec, for it was not swept, k = 16"),
        ("mr", "abstract", 0.01, "from the mean over trec, for it was not swept, k = 32"),
        ("mr", "random", 0.01, "sst2, trec with gold labels, for random ones were not swept, nor was the task, k = 16"),
        ("trec=my.jsonl", "gold", 0.1, "trec=my.jsonl from k = 16"),
    ],
)
def test_what_was_not_swept_takes_the_nearest_that_was_and_says_so(
    table: Path, task: str, labels: str, rate: float, source: str
) -> None:
    default = default_rate("m", task, "GD", Labels(labels), table)
    assert default is not None and default.rate == rate
    assert source in default.source


def test_a_method_or_model_without_rows_has_no_default(table: Path) -> None:
    assert default_rate("m", "trec", "LCGD", table=table) is None
    assert default_rate("other", "trec", "GD", table=table) is None


@pytest.mark.parametrize("exponent", [-3.3, -2, -0.4, 1.9])
@pytest.mark.parametrize("first", [1e-5, 0.01, 30.0])
def test_the_search_ends_with_rates_on_both_sides_of_one_wherever_it_begins(exponent: float, first: float) -> None:
    ratios: dict[float, float] = {}

    def ratio_at(rate: float) -> float:
        return ratios.setdefault(rate, sqrt(rate / 10**exponent))

    search(ratio_at, first)
    best = best_rate(rows_of(dict(ratios)))
    assert best is not None and best.is_as_large
    assert best.rate == pytest.approx(10**exponent, rel=0.05)


def test_the_search_halves_the_gap_to_divergence_twice() -> None:
    ratios: dict[float, float] = {}

    def ratio_at(rate: float) -> float:
        return ratios.setdefault(rate, inf if rate > 0.02 else 0.3)

    search(ratio_at, 0.001)
    assert sorted(ratios) == [0.001, 0.003, 0.01, 0.017, 0.023, 0.03]
    best = best_rate(rows_of({rate: None if ratio == inf else ratio for rate, ratio in ratios.items()}))
    assert best == (0.017, False)
    assert [grid_rate(exponent) for exponent in range(-4, 2)] == [0.01, 0.03, 0.1, 0.3, 1, 3]


@pytest.mark.parametrize("bound", [0.0, inf])
def test_a_search_without_end_stops(bound: float) -> None:
    rates: list[float] = []
    search(lambda rate: rates.append(rate) or bound, 0.01)
    assert len(rates) < 25


def test_the_shipped_sweep_has_every_number_and_no_rate_twice() -> None:
    assert list(SWEEP.columns) == list(COLUMNS)
    assert not SWEEP.duplicated(["model", "task", "labels", "method", "k", "seed", "learning_rate"]).any()
    numbers = SWEEP[["update_size_ratio", "likelihood_among_labels", "auc"]]
    assert (numbers.notna().all(axis=1) == (SWEEP.status == "ok")).all()


@pytest.mark.parametrize("labels", ["gold", "abstract"])
@pytest.mark.parametrize("task", ["sst2", "sst5", "mr", "subj", "agnews", "trec"])
def test_every_task_of_the_package_has_a_rate_on_the_default_model(task: str, labels: str) -> None:
    study, sources = resolved(make_study({"tasks": [task], "labels": [labels], "methods": ["GD", "LCGD"]}))
    for method in ("GD", "LCGD"):
        [rate] = study.rates_of("smollm2-135m", task, Labels(labels), method) or []
        of_method = SWEEP[(SWEEP.model == "smollm2-135m") & (SWEEP.method == method)]
        rows = of_method[(of_method.task == task) & (of_method.labels == labels)]
        assert rows.empty == ("not swept" in sources[method])
        rows = of_method if rows.empty else rows
        assert rows.learning_rate.min() < rate < rows.learning_rate.max()


def test_rates_stand_by_model_task_and_labels_where_a_study_has_several() -> None:
    study, _ = resolved(make_study({"tasks": ["trec", "mr"], "labels": ["gold", "abstract"], "methods": ["GD"]}))
    of_trec = study.learning_rates["GD"]["trec"]  # type: ignore[call-overload]
    assert set(of_trec) == {"gold", "abstract"} and set(study.learning_rates["GD"]) == {"trec", "mr"}
    incomplete = make_study(study.model_dump() | {"learning_rates": {"GD": {"trec": {"gold": [0.1]}, "mr": [0.1]}}})
    with pytest.raises(UserError, match=r"learning_rates\.GD has none for trec, abstract\."):
        resolved(incomplete)
