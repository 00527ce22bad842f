"""What is decided of a trained transformer, and what is left open."""

from dataclasses import asdict
from math import inf
from typing import Any

import pytest
import torch
from tests.study.synthetic.evidence import in_range

from demograd.statistics import Decision, RangeTest, Verdict, decide_ranges
from demograd.statistics.number import number_of
from demograd.study.synthetic.rows import claimed_scores, claimed_seeds, score_row, seeds_row
from demograd.study.synthetic.standing import standing_in_words


def ratio(value: float | None, **about: Any) -> RangeTest:
    return in_range(value, 0.98, 1.02, **about)


def same_algorithm(loss_ratio: RangeTest, cosine: float | None, **about: Any) -> Decision:
    return decide_ranges({"it": (loss_ratio, in_range(cosine, 0.99, inf, **about))})["it"]


def lowest(*margins: float) -> Verdict:
    return decide_ranges({"it": [in_range(margin, 0.0, inf) for margin in margins]})["it"].verdict


def as_good_everywhere(*ratios: float) -> Verdict:
    return decide_ranges({"it": [in_range(value, 0.9, 1.1) for value in ratios]})["it"].verdict


def test_a_network_is_an_algorithm_where_its_loss_and_its_sensitivity_are_the_same() -> None:
    assert same_algorithm(ratio(1.01), 0.995, around=0.001).verdict == Verdict.SUPPORTED


@pytest.mark.parametrize(("loss", "cosine"), [(1.03, 0.999), (0.5, 0.999), (1.0, 0.98), (1.03, None)])
def test_another_loss_or_another_sensitivity_alone_makes_another_algorithm(loss: float, cosine: float | None) -> None:
    assert same_algorithm(ratio(loss), cosine).verdict == Verdict.CONTRADICTED


@pytest.mark.parametrize(("loss", "cosine"), [(1.018, 0.999), (1.022, 0.999), (1.0, 0.992), (1.0, None)])
def test_it_is_open_where_an_interval_reaches_over_a_bound_or_is_missing(loss: float, cosine: float | None) -> None:
    assert same_algorithm(ratio(loss), cosine).verdict == Verdict.UNDECIDED


def test_fewer_than_five_training_seeds_decide_nothing_however_clear() -> None:
    four = same_algorithm(ratio(7.0, n_seeds=4), 0.1, n_seeds=4)
    assert four.verdict == Verdict.UNDECIDED
    assert four.reason == "fewer than 5 training seeds (4)"
    assert same_algorithm(ratio(7.0, n_seeds=5), 0.1, n_seeds=5).verdict == Verdict.CONTRADICTED


def test_an_interval_over_test_sequences_alone_decides_nothing() -> None:
    alone = {"interval": "conditional"}
    assert same_algorithm(ratio(7.0, **alone), 0.1, **alone).verdict == Verdict.UNDECIDED


def test_a_network_that_diverged_decides_nothing_and_says_so() -> None:
    decision = decide_ranges({"it": (ratio(None, status="diverged at step 7"),)})["it"]
    assert (decision.verdict, decision.reason) == (Verdict.UNDECIDED, "diverged at step 7")


def test_statements_are_corrected_for_one_another() -> None:
    """Holm: each p-value times how many there are, from the smallest on."""
    family = decide_ranges({name: (ratio(1.0, around=around),) for name, around in (("a", 0.01), ("b", 0.017))})
    alone = {around: decide_ranges({"it": (ratio(1.0, around=around),)})["it"].p_value for around in (0.01, 0.017)}
    assert family["a"].p_value == pytest.approx(2 * alone[0.01])
    assert family["b"].p_value == pytest.approx(alone[0.017])
    assert {decision.n_tested for decision in family.values()} == {2}


def test_any_one_of_many_numbers_contradicts_with_a_p_value_for_all_of_them() -> None:
    (alone,) = decide_ranges({"it": (ratio(1.025),)}).values()
    (among,) = decide_ranges({"it": (ratio(1.025), *(ratio(1.0) for _ in range(9)))}).values()
    assert (alone.verdict, among.verdict) == (Verdict.CONTRADICTED, Verdict.UNDECIDED)
    assert among.p_value == pytest.approx(10 * alone.p_value)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.28, 0.308, "its loss is at least 3.24 times below"),  # 1 / 0.308 = 3.247
        (0.0, 0.5, "its loss is at least 2 times below"),
        (1.038, 1.2, "its loss is at least 1.03 times as large"),
        (0.985, 1.015, "its loss is within 2 %"),
        (0.9, 1.02, "its loss is within 2 %, or below"),
        (0.99, 1.03, ""),
        (0.5, 1.5, ""),
    ],
)
def test_how_a_loss_stands_to_another_is_said_by_the_bound_that_is_nearer_to_it(
    low: float, high: float, words: str
) -> None:
    assert standing_in_words(ratio((low + high) / 2, ci_low=low, ci_high=high)) == words
    assert standing_in_words(ratio((low + high) / 2, ci_low=low, ci_high=high, n_seeds=4)) == ""


def test_an_interval_that_touches_the_bound_is_within_it() -> None:
    touching = ratio(1.0, ci_low=0.98, ci_high=1.02)
    assert touching.interval is not None and touching.interval.low == pytest.approx(0.98, abs=1e-4)
    assert decide_ranges({"it": [ratio(1.0, ci_low=0.9801, ci_high=1.0199)]})["it"].verdict == Verdict.SUPPORTED


def test_the_lowest_loss_takes_every_margin_above_zero() -> None:
    assert lowest(0.02, 0.02) == Verdict.SUPPORTED
    assert lowest(0.02, 0.001) == Verdict.UNDECIDED
    assert lowest(0.02, 0.001, -0.02) == Verdict.CONTRADICTED


def test_as_good_as_least_squares_is_so_at_every_position() -> None:
    assert as_good_everywhere(1.09, 0.92) == Verdict.SUPPORTED
    assert as_good_everywhere(1.09, 1.098) == Verdict.UNDECIDED
    assert as_good_everywhere(1.09, 1.11) == Verdict.CONTRADICTED


def test_a_small_distance_is_below_its_bound_though_its_interval_passes_zero() -> None:
    distances = [0.005, 0.02, 0.01, 0.03, 0.001]
    row = claimed_seeds(seeds_row(distances, (0.0, inf)), distances)
    small = RangeTest(number_of(asdict(row) | {"status": "ok"}), row.mean, -inf, 0.05, "the distance")
    assert small.interval is not None and small.interval.low < 0
    assert decide_ranges({"small": [small]})["small"].verdict == Verdict.SUPPORTED
    assert (small.inside, small.outside) == ("below 0.05", "above 0.05")


def test_missing_cosines_cost_no_others() -> None:
    cosines = [torch.full((1024,), 0.999, dtype=torch.float64) for _ in range(5)]
    for seed, cosine in enumerate(cosines):
        cosine[seed::3] = torch.nan
    row = claimed_scores(score_row(cosines), cosines)
    assert row.mean is not None and row.mean.n_seeds == 5 and row.mean.estimate == pytest.approx(0.999)
