"""The rule behind the default learning rates, the sweep that it reads, and the search that made the sweep."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import inf, nan, sqrt
from pathlib import Path

import pandas as pd
import pytest
from benchmarks import sweep_learning_rates
from benchmarks.sweep_learning_rates import grid_rate, next_rates

from demograd import GradientDescent, Model, fine_tuned, load_model, load_task, metrics, observe
from demograd.errors import UserError
from demograd.learn import FineTuned, FineTuningJob, fine_tuned_together
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
        ("trec", "gold", 0.1, "trec from k = 16, 1 demonstration set, prompts beginning with <s>"),
        (
            "trec",
            "abstract",
            0.01,
            "trec with abstract labels from k = 32, 1 demonstration set, prompts",
        ),
        ("sst2", "abstract", 0.001, "from with gold labels, for abstract ones were not swept, k = 16"),
        ("mr", "gold", 0.01, "mr from the mean over sst2, trec, for it was not swept, k = 16, 2 demonstration sets"),
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


def searched(ratio_at: Callable[[float], float], first: float) -> dict[float, float]:
    """The rates that a search runs, with their size ratios."""
    ratios: dict[float, float] = {}
    while rates := next_rates(ratios, first):
        assert not ratios.keys() & rates
        ratios |= {rate: ratio_at(rate) for rate in rates}
    return ratios


@pytest.mark.parametrize("exponent", [-3.3, -2, -0.4, 1.9])
@pytest.mark.parametrize("first", [1e-5, 0.01, 30.0])
def test_the_search_ends_with_rates_on_both_sides_of_one_wherever_it_begins(exponent: float, first: float) -> None:
    best = best_rate(rows_of(dict(searched(lambda rate: sqrt(rate / 10**exponent), first))))
    assert best is not None and best.is_as_large
    assert best.rate == pytest.approx(10**exponent, rel=0.05)


def test_from_the_right_rate_the_search_runs_its_neighbours_and_one_between() -> None:
    assert list(searched(lambda rate: rate / 0.02, 0.02)) == [0.01, 0.03, 0.017]


def test_the_search_halves_the_gap_to_divergence_twice() -> None:
    ratios = searched(lambda rate: inf if rate > 0.02 else 0.3, 0.001)
    assert list(ratios) == [0.001, 0.003, 0.01, 0.03, 0.017, 0.023]
    best = best_rate(rows_of({rate: None if ratio == inf else ratio for rate, ratio in ratios.items()}))
    assert best == (0.017, False)
    assert [grid_rate(exponent) for exponent in range(-4, 2)] == [0.01, 0.03, 0.1, 0.3, 1, 3]


@pytest.mark.parametrize("bound", [0.0, inf, nan])
@pytest.mark.parametrize("first", [1e-9, 0.01, 1e9])
def test_a_search_without_end_stops(bound: float, first: float) -> None:
    assert len(searched(lambda rate: bound, first)) < 25


def test_a_sweep_trains_sets_together_goes_on_where_it_stopped_and_runs_nothing_twice(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, table = load_model(str(small_model)), tmp_path / "rates.csv"
    numbers_of_jobs: list[int] = []

    def counted(model: Model, jobs: Sequence[FineTuningJob]) -> AbstractContextManager[list[FineTuned]]:
        numbers_of_jobs.append(len(jobs))
        return fine_tuned_together(model, jobs)

    monkeypatch.setattr(sweep_learning_rates, "fine_tuned_together", counted)

    def swept() -> pd.DataFrame:
        options = f"--model {small_model} --tasks trec --labels gold --methods GD --k 2 --queries 4 --table {table}"
        monkeypatch.setattr(sys, "argv", ["sweep_learning_rates.py", *options.split()])
        sweep_learning_rates.main()
        return pd.read_csv(table)

    rows = swept()
    assert numbers_of_jobs[0] == 4  # two sets at two rates
    assert len(rows) == sum(numbers_of_jobs)
    row = rows.iloc[-1]
    task = load_task("trec")
    demonstrations = task.demonstration_sets(2, [1000, 1001])[int(row.seed) - 1000]
    queries = task.tuning_queries(4)
    prompts = task.prompts(model.tokenizer, queries)
    icl = observe(model, task.prompts(model.tokenizer, queries, demonstrations))
    method = GradientDescent(learning_rate=row.learning_rate)
    with fine_tuned(model, task.training_sequences(model.tokenizer, demonstrations), method) as tuned:
        ft = observe(tuned, prompts)
    ratio = metrics.update_size_ratio(observe(model, prompts), icl, ft).quantile(0.5).item()
    assert row.update_size_ratio == pytest.approx(ratio, rel=1e-3) and row.status == "ok"

    rows.iloc[:-1].to_csv(table, index=False)
    numbers_of_jobs.clear()
    again = swept()
    assert numbers_of_jobs == [1]
    pd.testing.assert_frame_equal(again, rows, rtol=1e-3)


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
