"""What is decided of a trained transformer, and what is left open."""

import pytest
from tests.report.synthetic.rows import row

from demograd.report.numbers import Number, number_of
from demograd.report.synthetic.decision import lowest_loss, same_algorithm, standing_in_words, within
from demograd.report.synthetic.positions import as_good_everywhere
from demograd.statistics import Verdict


def a_cell(value: float | None, around: float = 0.004, **about: object) -> Number:
    return number_of(row("any", value, around=around, **about))


def test_a_network_is_an_algorithm_where_its_loss_and_its_sensitivity_are_the_same() -> None:
    assert same_algorithm(a_cell(1.01), a_cell(0.995)).verdict == Verdict.SUPPORTED


@pytest.mark.parametrize(("ratio", "cosine"), [(1.03, 0.999), (0.5, 0.999), (1.0, 0.98), (1.03, None)])
def test_another_loss_or_another_sensitivity_alone_makes_another_algorithm(ratio: float, cosine: float | None) -> None:
    assert same_algorithm(a_cell(ratio), a_cell(cosine)).verdict == Verdict.CONTRADICTED


@pytest.mark.parametrize(("ratio", "cosine"), [(1.018, 0.999), (1.022, 0.999), (1.0, 0.992), (1.0, None)])
def test_it_is_open_where_an_interval_reaches_over_a_bound_or_is_missing(ratio: float, cosine: float | None) -> None:
    assert same_algorithm(a_cell(ratio), a_cell(cosine)).verdict == Verdict.UNDECIDED


def test_fewer_than_five_training_seeds_decide_nothing_however_clear() -> None:
    four = same_algorithm(a_cell(7.0, n_seeds=4), a_cell(0.1, n_seeds=4))
    assert four.verdict == Verdict.UNDECIDED
    assert four.reason == "fewer than 5 training seeds (4)"
    assert same_algorithm(a_cell(7.0, n_seeds=5), a_cell(0.1, n_seeds=5)).verdict == Verdict.CONTRADICTED


def test_an_interval_over_test_sequences_alone_decides_nothing() -> None:
    alone = {"interval": "conditional"}
    assert same_algorithm(a_cell(7.0, **alone), a_cell(0.1, **alone)).verdict == Verdict.UNDECIDED


def test_a_network_that_diverged_decides_nothing_and_says_so() -> None:
    decision = within(a_cell(None, status="diverged at step 7"), (0.98, 1.02), "it")
    assert (decision.verdict, decision.reason) == (Verdict.UNDECIDED, "diverged at step 7")


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
    assert standing_in_words(a_cell((low + high) / 2, ci_low=low, ci_high=high)) == words
    assert standing_in_words(a_cell((low + high) / 2, ci_low=low, ci_high=high, n_seeds=4)) == ""


def test_an_interval_that_touches_the_bound_is_within_it() -> None:
    touching = a_cell(1.0, ci_low=0.98, ci_high=1.02)
    assert within(touching, (0.98, 1.02), "it").verdict == Verdict.SUPPORTED


def test_the_lowest_loss_takes_every_margin_above_zero() -> None:
    above, below, around_zero = a_cell(0.02), a_cell(-0.02), a_cell(0.001)
    assert lowest_loss([above, above]).verdict == Verdict.SUPPORTED
    assert lowest_loss([above, around_zero]).verdict == Verdict.UNDECIDED
    assert lowest_loss([above, around_zero, below]).verdict == Verdict.CONTRADICTED


def test_as_good_as_least_squares_is_so_at_every_position() -> None:
    assert as_good_everywhere([a_cell(1.09), a_cell(0.92)]).verdict == Verdict.SUPPORTED
    assert as_good_everywhere([a_cell(1.09), a_cell(1.098)]).verdict == Verdict.UNDECIDED
    assert as_good_everywhere([a_cell(1.09), a_cell(1.11)]).verdict == Verdict.CONTRADICTED
