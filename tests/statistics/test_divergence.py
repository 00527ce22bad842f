"""Facts about infinite values: they have diverged, and a mean with one of them has no value, interval or test."""

from math import inf, isnan, nan

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd.metrics import specificity
from demograd.statistics import (
    aggregate,
    at_equal_size,
    common_sizes,
    conditional_interval,
    conditional_intervals,
    decide_all,
    interval_over_demonstrations,
    mean_over_heads,
    mean_over_sizes,
    over_seeds,
    paired_test,
    statistic_interval,
    statistic_intervals,
)

FINITE = torch.linspace(0.5, 1.5, 5 * 6 * 2).reshape(5, 6, 2)


def partly(value: float) -> Tensor:
    """Scores [seeds, queries, layers] in which one value of the second seed is `value`."""
    scores = FINITE.clone()
    scores[1, 2, 0] = value
    return scores


WHOLE = {
    "all infinite": torch.full((5, 6, 2), inf),
    "all minus infinite": torch.full((5, 6, 2), -inf),
    "of both signs": torch.tensor([inf, -inf]).expand(5, 6, 2),
    "one infinite": partly(inf),
    "one minus infinite": partly(-inf),
    "infinite, the others missing": torch.where(partly(inf).isinf(), inf, nan),
    "all missing": torch.full((5, 6, 2), nan),
    "no queries": torch.empty(5, 0, 2),
    "no seeds": torch.empty(0, 6, 2),
    "no layers": torch.empty(5, 6, 0),
}
every_kind = pytest.mark.parametrize("scores", list(WHOLE.values()), ids=list(WHOLE))


@every_kind
def test_there_is_no_interval_and_no_test_over_what_diverged_or_is_not_there(scores: Tensor) -> None:
    assert interval_over_demonstrations(scores) is None
    assert conditional_interval(scores) is None
    test = paired_test(scores, margin=0.1)
    assert isnan(test.difference) and test.interval is None and test.reason
    assert ("not finite" in test.reason) == bool(scores.isinf().any())
    decision = decide_all({"claim": test})["claim"]
    assert decision.verdict == "undecided" and decision.reason and isnan(decision.p_value)


@every_kind
def test_seeds_that_did_not_diverge_have_their_own_intervals(scores: Tensor) -> None:
    intervals = conditional_intervals(scores)
    assert [interval is not None for interval in intervals] == [
        len(seed) > 0 and seed.numel() > 0 and bool(seed.isfinite().all()) for seed in scores
    ]
    for seed, interval in zip(scores, intervals, strict=True):
        assert interval is None or interval.low <= float(seed.mean()) <= interval.high


@pytest.mark.parametrize("value", [inf, -inf])
def test_what_diverged_is_counted_named_and_not_averaged_in(value: float) -> None:
    scores = partly(value)
    scores[1, 3, 1] = nan
    whole = aggregate(scores[1])
    assert whole.value == inf and (whole.n, whole.n_missing, whole.n_diverged) == (10, 2, 1)
    assert whole.status == "diverged: 1 of 12 values is not finite"
    assert aggregate(scores[0]).status == "ok" and aggregate(scores[0]).n_diverged == 0
    over = over_seeds([0.5, value, nan, 0.25, 1.0])
    assert isnan(over.mean) and over.std is None and (over.n, over.n_missing) == (3, 2)


def test_a_head_that_diverged_is_not_hidden_by_the_mean_over_heads() -> None:
    heads = torch.zeros(2, 1, 3)
    heads[0, 0, 0], heads[0, 0, 1] = inf, -inf
    assert mean_over_heads(heads).tolist() == [[inf], [0.0]]


def test_two_sides_that_both_diverged_are_not_missing_but_diverged() -> None:
    assert specificity(torch.tensor([[inf, inf, 1.0, nan]]), torch.tensor([[inf, 0.0, 0.5, 0.0]]))[0].tolist()[:3] == [
        inf,
        inf,
        0.5,
    ]


def test_a_statistic_that_diverged_has_no_interval_and_a_resample_without_it_is_left_out() -> None:
    def statistic(seed: int, chosen: np.ndarray) -> np.ndarray:
        return np.full(len(chosen), inf if seed == 1 else float(seed))

    over, of_each = statistic_intervals(statistic, 3, 4, resamples=50)
    assert over is None and [interval is not None for interval in of_each] == [True, False, True]
    assert statistic_interval(lambda seed, chosen: np.full(len(chosen), nan), 3, 4, resamples=50) is None
    assert statistic_interval(statistic, 0, 4, resamples=50) is None

    def only_as_it_is(seed: int, chosen: np.ndarray) -> np.ndarray:
        return np.where(len(chosen) == 1, 1.0, inf) * np.ones(len(chosen))

    assert statistic_interval(only_as_it_is, 3, 4, resamples=50) is None
    assert statistic_intervals(only_as_it_is, 3, 4, resamples=50)[1] == [None] * 3


def test_a_curve_is_infinite_where_a_score_beside_its_point_is() -> None:
    sizes, scores = torch.tensor([[0.5], [2.0], [4.0]]), torch.tensor([[1.0, 1.0], [inf, 2.0], [-inf, 3.0]])
    read = at_equal_size(sizes, scores[:, None, :, None], 1.0)
    assert read[0, :, 0].tolist() == [inf, 1.5]
    mean = mean_over_sizes(sizes, scores[:, None, :, None], 1.0, 3.0)
    assert mean[0, 0, 0] == inf and mean[0, 1, 0].isfinite()
    assert all(map(isnan, common_sizes([torch.full((3, 1), inf), sizes])))
