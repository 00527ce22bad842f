"""Facts about predictions: how right they are, and which queries count."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd import metrics, statistics
from demograd.observe import Observation

from .conftest import Make


def binary(*scores: float) -> Tensor:
    """Log-probabilities whose difference is the score, with a different constant for every query."""
    score, constant = torch.tensor(scores), -torch.arange(1.0, len(scores) + 1)
    return torch.stack([constant, constant + score], dim=-1)


def test_accuracy_and_f1_by_hand(observation: Make) -> None:
    """Predictions 0 0 1 1 2 against gold 0 1 1 1 0: F1 is 1/2, 4/5 and, for the class that is never gold, 0."""
    observed = observation(log_probs=torch.eye(4)[[0, 0, 1, 1, 2]] - 5, gold=[0, 1, 1, 1, 0])
    assert metrics.accuracy(observed) == pytest.approx(0.6)
    assert metrics.macro_f1(observed) == pytest.approx((0.5 + 0.8 + 0) / 3)
    assert metrics.correct(observed).tolist() == [True, False, True, True, False]


def test_label_likelihood_by_hand(observation: Make) -> None:
    observed = observation(log_probs=torch.tensor([[0.1, 0.3], [0.02, 0.06]]).log(), gold=[1, 0])
    assert metrics.label_log_likelihood(observed).tolist() == pytest.approx([log(0.3), log(0.02)])
    assert metrics.normalised_label_log_likelihood(observed).tolist() == pytest.approx([log(0.75), log(0.25)])


def test_auc_counts_pairs_and_half_of_the_ties(observation: Make) -> None:
    random = np.random.default_rng(0)
    scores, gold = random.integers(0, 6, size=60).astype(float), random.integers(0, 2, size=60)
    pairs = [(a > b) + (a == b) / 2 for a in scores[gold == 1] for b in scores[gold == 0]]
    assert len(set(scores)) < 60 and 0 < np.mean(pairs) < 1
    observed = observation(log_probs=binary(*scores), gold=gold.tolist())
    assert metrics.auc(observed) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_auc_of_three_classes_averages_one_against_the_rest(observation: Make) -> None:
    random = np.random.default_rng(1)
    scores = random.integers(0, 3, size=(40, 4)).astype(float)  # whole numbers, so that there are ties
    gold = random.integers(0, 3, size=40)  # class 3 is never gold, and is left out
    centred = scores - scores.mean(axis=1, keepdims=True)
    by_class = [
        np.mean([(a > b) + (a == b) / 2 for a in centred[gold == c, c] for b in centred[gold != c, c]])
        for c in range(3)
    ]
    observed = observation(log_probs=torch.from_numpy(scores) - torch.arange(40.0)[:, None], gold=gold.tolist())
    assert metrics.auc(observed) == pytest.approx(np.mean(by_class), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_a_bias_towards_a_label_word_changes_neither_auc_nor_calibrated_accuracy(
    observation: Make, classes: int
) -> None:
    random = torch.Generator().manual_seed(classes)
    gold = [query % classes for query in range(60)]
    log_probs = torch.randn(60, classes, generator=random) + 1.5 * torch.eye(classes)[gold]
    plain = observation(log_probs=log_probs, gold=gold)
    for bias in (2.0, 8.0):
        biased = observation(log_probs=log_probs + bias * torch.eye(classes)[1], gold=gold)
        assert metrics.auc(biased) == pytest.approx(metrics.auc(plain), abs=1e-6)
        assert metrics.calibrated_accuracy(biased) == pytest.approx(metrics.calibrated_accuracy(plain), abs=1e-6)
    assert metrics.accuracy(biased) < metrics.accuracy(plain) - 0.2
    formatted = observation(log_probs=log_probs + 3 * torch.randn(60, 1, generator=random), gold=gold)
    assert metrics.auc(formatted) == pytest.approx(metrics.auc(plain), abs=1e-3)
    assert metrics.calibrated_accuracy(formatted) == pytest.approx(metrics.calibrated_accuracy(plain), abs=0.02)


def test_auc_counts_a_query_as_often_as_it_was_drawn(observation: Make) -> None:
    """Scores are 1, 2, 3 and 3; the second and the last are of class 1."""
    observed = observation(log_probs=binary(1, 2, 3, 3), gold=[0, 1, 0, 1])
    once, twice, none = metrics.resampled_auc(observed, np.array([[0, 1, 2, 3], [1, 1, 1, 2], [0, 0, 2, 2]]))
    assert once == (1 + 0 + 1 + 0.5) / 4  # 2 > 1, 2 < 3, 3 > 1, 3 = 3
    assert twice == 0 and np.isnan(none)
    assert metrics.resampled_auc(observed, np.array([[0, 0, 2, 3]])) == (2 + 0.5) / 3


def test_auc_sees_order_where_a_normalised_probability_rounds_to_one(observation: Make) -> None:
    assert metrics.auc(observation(log_probs=binary(40, 60, 80, 100), gold=[0, 0, 1, 1])) == 1


def test_auc_of_one_class_is_missing(observation: Make) -> None:
    assert np.isnan(metrics.auc(observation(log_probs=binary(1, 2, 3), gold=[1, 1, 1])))


def test_calibration_mends_a_biased_model(observation: Make) -> None:
    observed = observation(log_probs=binary(5, 6, 7, 9, 8), gold=[0, 0, 1, 1, 0])
    assert metrics.accuracy(observed) == pytest.approx(0.4)
    # the median, 7, is half a hit
    assert metrics.calibrated_correct(observed).tolist() == [1, 1, 0.5, 1, 0]
    assert metrics.calibrated_accuracy(observed) == pytest.approx(0.7)


def test_calibration_of_three_classes_by_hand(observation: Make) -> None:
    """Word 2 is always likeliest. Scores minus their row's mean are (−1, −1, 2), (1, −2, 1), (−2, 0, 2), (0, −3, 3) and
    (−1, −1, 2); medians are −1, −1 and 2, and what is left has its maximum at 0/1/2, 0, 1, 0/2 and 0/1/2."""
    scores = torch.tensor([[0.0, 0, 3], [3, 0, 3], [0, 2, 4], [3, 0, 6], [1, 1, 4]])
    observed = observation(log_probs=scores - 7, gold=[2, 0, 1, 0, 1])
    assert metrics.calibrated_correct(observed).tolist() == pytest.approx([1 / 3, 1, 1, 0.5, 1 / 3])
    assert metrics.accuracy(observed) == pytest.approx((1 + 0.5 + 0 + 0 + 0) / 5)


def test_calibration_leaves_a_sure_and_perfect_prediction_of_unequal_classes(observation: Make) -> None:
    gold = [0] * 20 + [1] * 18 + [2] * 12
    observed = observation(log_probs=9 * torch.eye(3)[gold] + torch.tensor([0.0, 30, 0]), gold=gold)
    assert metrics.calibrated_accuracy(observed) == 1 and metrics.accuracy(observed) == 18 / 50


def test_corrected_is_wrong_in_zsl_and_right_in_icl_and_ft(observation: Make) -> None:
    gold = [1, 1, 1, 1]
    zsl, icl, ft = (
        observation(log_probs=binary(*s), gold=gold) for s in ((-1, 1, -1, -1), (1, 1, -1, 1), (1, 1, 1, -1))
    )
    assert metrics.selected(zsl, icl, ft, "corrected").tolist() == [True, False, False, False]
    assert metrics.selected(zsl, icl, ft).tolist() == [True] * 4


def test_rec2ftp_by_hand(observation: Make) -> None:
    """Queries 0, 1 and 2 are wrong in ZSL and right in FT; ICL has two of them right."""
    gold = [1, 1, 1, 1, 1]
    zsl, icl, ft = (
        observation(log_probs=binary(*s), gold=gold) for s in ((-1, -1, -1, -1, 1), (1, -1, 1, 1, 1), (1, 1, 1, -1, 1))
    )
    recalled = metrics.rec2ftp(zsl, icl, ft)
    assert recalled[:3].tolist() == [1, 0, 1]
    assert recalled[3:].isnan().all()
    assert recalled.nanmean().item() == pytest.approx(2 / 3)
    assert metrics.rec2ftp(ft, icl, zsl)[:3].isnan().all()
    assert metrics.rec2ftp(icl, icl, icl).isnan().all()


def test_an_icl_that_always_says_the_other_class_recalls_everything_and_so_does_its_base_rate(
    observation: Make,
) -> None:
    """ZSL always predicts 0 and ICL always 1: whichever queries FT corrects, ICL has them right, with or without FT."""
    gold = [1, 1, 1, 1, 0]
    zsl, icl, ft = (observation(log_probs=binary(*s), gold=gold) for s in ([-1] * 5, [1] * 5, (1, -1, 1, -1, -1)))
    assert metrics.rec2ftp(zsl, icl, ft).nanmean().item() == metrics.rec2ftp_base_rate(zsl, icl).nanmean().item() == 1
    mends_the_same = observation(log_probs=binary(1, -1, 1, -1, -1), gold=gold)
    base_rate = metrics.rec2ftp_base_rate(zsl, mends_the_same)
    assert base_rate[:4].tolist() == [1, 0, 1, 0] and base_rate[4].isnan()
    assert metrics.rec2ftp(zsl, mends_the_same, ft).nanmean().item() == 1  # twice its base rate
    assert metrics.rec2ftp_base_rate(icl, zsl)[:4].isnan().all()


def test_rec2ftp_above_its_base_rate_is_their_difference_and_its_influences(observation: Make) -> None:
    """Leaving a query out moves the difference by that query's influence over n − 1, but for terms of order 1 / n²."""
    generator = torch.Generator().manual_seed(0)
    n = 400
    signs = [(torch.rand(n, generator=generator) < share).int() * 2 - 1 for share in (0.4, 0.6, 0.5)]

    def subset(keep: slice | list[int]) -> list[Observation]:
        return [observation(log_probs=binary(*sign[keep].tolist()), gold=[1] * len(sign[keep])) for sign in signs]

    def by_hand(three: list[Observation]) -> float:
        return float(metrics.rec2ftp(*three).nanmean() - metrics.rec2ftp_base_rate(*three[:2]).nanmean())

    everything = subset(slice(None))
    values = metrics.rec2ftp_above_base_rate(*everything)
    assert values.nanmean().item() == pytest.approx(by_hand(everything), abs=1e-6)
    counted = (~values.isnan()).nonzero().flatten().tolist()
    assert counted == (signs[0] < 0).nonzero().flatten().tolist()
    for left_out in counted[:12]:
        without = by_hand(subset([i for i in range(n) if i != left_out]))
        influence = values[left_out].item() - values.nanmean().item()
        assert without - by_hand(everything) == pytest.approx(-influence / (len(counted) - 1), abs=2e-4)
    mistakes = (signs[0] < 0).nonzero().flatten()
    for n_corrected, is_told in (
        (0, False),
        (9, False),
        (10, True),
        (len(mistakes) - 10, True),
        (len(mistakes) - 9, False),
    ):
        ft = signs[0].clone()
        ft[mistakes[:n_corrected]] = 1
        three = [*everything[:2], observation(log_probs=binary(*ft.tolist()), gold=[1] * n)]
        assert metrics.rec2ftp_above_base_rate(*three).isnan().all() != is_told


def test_an_empty_corrected_selection_is_missing_not_zero(observation: Make) -> None:
    right = observation(log_probs=binary(1, 1, 1, 1), gold=[1, 1, 1, 1])
    selected = metrics.selected(right, right, right, "corrected")
    score = statistics.aggregate(torch.ones(4, 2, 3)[selected])
    assert np.isnan(score.value)
    assert (score.n, score.n_missing) == (0, 0)


def test_an_interval_of_auc_holds_the_auc(observation: Make) -> None:
    random = torch.Generator().manual_seed(0)
    gold = [q % 2 for q in range(60)]
    signal = torch.tensor(gold)[:, None] * torch.tensor([0.0, 1.0])
    seeds = [observation(log_probs=signal + torch.randn(60, 2, generator=random), gold=gold) for _ in range(5)]
    interval = statistics.statistic_interval(lambda s, queries: metrics.resampled_auc(seeds[s], queries), 5, 60)
    value = statistics.over_seeds([metrics.auc(o) for o in seeds]).mean
    assert interval is not None and interval.low < value < interval.high
    assert 0.05 < interval.high - interval.low < 0.4


def test_each_sets_auc_has_the_interval_it_has_alone(observation: Make) -> None:
    random = torch.Generator().manual_seed(3)
    gold = [q % 3 for q in range(30)]
    one_class = [observation(log_probs=torch.randn(30, 3, generator=random), gold=[0] * 30)]
    sets = [observation(log_probs=torch.randn(30, 3, generator=random), gold=gold) for _ in range(3)] + one_class

    def auc(number: int, queries: np.ndarray) -> np.ndarray:
        return metrics.resampled_auc(sets[number], queries)

    whole, by_set = statistics.statistic_intervals(auc, 4, 30)
    assert whole == statistics.statistic_interval(auc, 4, 30) and whole is not None and whole.n_seeds == 3
    assert by_set[3] is None
    for number, interval in enumerate(by_set[:3]):
        assert interval == statistics.statistic_interval(lambda _, q, at=number: auc(at, q), 1, 30, over="queries")
