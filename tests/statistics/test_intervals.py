"""Facts about aggregation, intervals and decisions."""

import numpy as np
import pytest
import torch
from scipy.stats import t
from torch import Tensor

from demograd import statistics

NAN = float("nan")


def with_holes(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=random)
    return values.masked_fill(torch.rand(*shape, generator=random) < 0.3, NAN)


def mean(values: Tensor) -> float:
    return statistics.over_seeds([statistics.aggregate(of_seed).value for of_seed in values]).mean


def test_heads_then_queries_then_layers_are_averaged() -> None:
    """Layer 0: query 0 has heads (1, missing) → 1, query 1 (2, 4) → 3, so 2. Layer 1: only 8. Hence 5, not 15 / 4."""
    scores = torch.tensor([[[1, NAN], [NAN, NAN]], [[2, 4], [8, NAN]]])
    score = statistics.aggregate(scores)
    assert (score.value, score.n, score.n_missing) == (5, 4, 4)
    assert [(s.value, s.n, s.n_missing) for s in statistics.per_layer(scores)] == [(2, 3, 1), (8, 1, 3)]


def test_an_aggregate_does_not_depend_on_the_order_of_queries() -> None:
    scores = with_holes(30, 4, 3)
    shuffled = scores[torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    assert statistics.aggregate(shuffled).value == pytest.approx(statistics.aggregate(scores).value, abs=1e-12)


def test_a_spread_over_seeds_takes_three() -> None:
    three = statistics.over_seeds([1.0, 2.0, 4.0, NAN])
    assert (three.mean, three.std, three.n, three.n_missing) == (
        pytest.approx(7 / 3),
        pytest.approx((7 / 3) ** 0.5),
        3,
        1,
    )
    assert statistics.over_seeds([1.0, 2.0, NAN]).std is None
    assert np.isnan(statistics.over_seeds([NAN]).mean)


def test_the_interval_of_identical_resamples_is_the_aggregate() -> None:
    """Layers have holes, queries are all alike: every resample is the aggregate, so the interval is a point."""
    row = torch.tensor([[1.0, NAN, 4.0], [2.0, 8.0, NAN], [NAN, NAN, 5.0]])
    values = row[:, None].repeat(1, 10, 1)
    value = mean(values)
    assert value == pytest.approx((2.5 + 5 + 5) / 3)
    interval = statistics.conditional_interval(values)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((value, value))


def test_the_crossed_interval_by_hand() -> None:
    """Seed means 2 and 4, query means 2, 3, 4, interaction 0 but for one square: MS of seeds 6, of queries 2, none of
    both. So a variance of 8 / 6, and degrees of freedom of 64 / (36 / 1 + 4 / 2)."""
    interval = statistics.interval_over_demonstrations(torch.tensor([[1.0, 2, 3], [3.0, 4, 5]]))
    assert interval is not None
    reach = t.ppf(0.975, 64 / 38) * (8 / 6) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((3 - reach, 3 + reach))


def test_a_conditional_interval_by_hand() -> None:
    """Means of queries over seeds: 2, 3 and 4."""
    interval = statistics.conditional_interval(torch.tensor([[1.0, 2, 3], [3.0, 4, 5]]))
    assert interval is not None
    reach = 4.302653 / 3**0.5
    assert (interval.low, interval.high) == pytest.approx((3 - reach, 3 + reach), rel=1e-6)


@pytest.mark.parametrize("missing_queries", [0, 5])
def test_the_spread_with_missing_values_is_about_that_of_the_bootstrap(missing_queries: int) -> None:
    """Parts of a mean with missing values are right to first order: a bootstrap of `aggregate` itself agrees."""
    values = with_holes(6, 80, 3) + torch.randn(80, 1, generator=torch.Generator().manual_seed(1))
    values[:, :missing_queries] = NAN
    present, random = values[:, missing_queries:], np.random.default_rng(7)
    n = present.shape[1]
    means = [mean(present[:, random.integers(n, size=n)]) for _ in range(300)]
    interval = statistics.conditional_interval(values)
    assert interval is not None
    assert (interval.low + interval.high) / 2 == pytest.approx(mean(values), abs=1e-6)
    assert (interval.high - interval.low) / 2 / t.ppf(0.975, n - 1) == pytest.approx(np.std(means), rel=0.2)


def coverage(interval: object, query_effect: float, seed_effect: float, runs: int = 400) -> float:
    """How often the interval of a crossed design around zero contains zero."""
    hits = 0
    for run in range(runs):
        random = torch.Generator().manual_seed(run)
        seeds, queries = torch.randn(5, 1, generator=random), torch.randn(1, 25, generator=random)
        noise = torch.randn(5, 25, generator=random)
        result = interval(seed_effect * seeds + query_effect * queries + noise)  # type: ignore[operator]
        hits += result.low <= 0 <= result.high
    return hits / runs


def test_intervals_over_demonstrations_cover_what_they_promise() -> None:
    """Coverage is 95 % between seeds alone, and with effects of queries, which all seeds share."""
    assert 0.92 <= coverage(statistics.interval_over_demonstrations, query_effect=0, seed_effect=1) <= 0.98
    assert 0.92 <= coverage(statistics.interval_over_demonstrations, query_effect=1, seed_effect=0) <= 0.99


def test_a_conditional_interval_covers_queries_but_not_demonstrations() -> None:
    assert 0.90 <= coverage(statistics.conditional_interval, query_effect=1, seed_effect=0) <= 0.99
    assert coverage(statistics.conditional_interval, query_effect=1, seed_effect=1) < 0.8


def test_one_seed_has_no_interval_over_demonstrations_but_a_conditional_one() -> None:
    values = with_holes(1, 20, 3)
    assert statistics.interval_over_demonstrations(values) is None
    conditional = statistics.conditional_interval(values)
    assert conditional is not None and conditional.low < mean(values) < conditional.high
    assert conditional.label == "95 % interval conditional on these demonstrations"
    nothing = torch.full((6, 20), NAN)
    assert statistics.interval_over_demonstrations(nothing) is None
    assert statistics.conditional_interval(nothing) is None


def test_a_seed_without_values_is_not_counted() -> None:
    values = with_holes(6, 20)
    values[2] = NAN
    interval = statistics.interval_over_demonstrations(values)
    assert interval is not None and interval.n_seeds == 5


@pytest.mark.parametrize("missing_in_one", [0, 3])
def test_each_sets_interval_is_the_one_it_has_alone(missing_in_one: int) -> None:
    """A set may lack values of queries that others have; a set without any value has no interval."""
    values = torch.randn(5, 20, 3, generator=torch.Generator().manual_seed(2))
    values[:, 4] = NAN  # a query without values under any seed
    values[1, 7 : 7 + missing_in_one] = NAN
    values[3] = NAN if missing_in_one else values[3]
    intervals = statistics.conditional_intervals(values)
    assert intervals == [statistics.conditional_interval(scores[None]) for scores in values]
    assert [interval is not None for interval in intervals] == [True, True, True, not missing_in_one, True]


def test_scores_of_different_queries_are_not_stacked() -> None:
    stacked = statistics.stack_seeds([torch.ones(4, 2, 3), torch.tensor(NAN).expand(4, 2, 3)])
    assert stacked.shape == (2, 4, 2)
    assert (stacked[0] == 1).all() and stacked[1].isnan().all()
    with pytest.raises(ValueError, match=r"\(3, 2\), \(4, 2\)"):
        statistics.stack_seeds([torch.ones(4, 2), torch.ones(3, 2)])


@pytest.mark.parametrize(
    ("centre", "seeds", "verdict"),
    [(3, 5, "supported"), (-3, 5, "contradicted"), (0, 5, "undecided"), (3, 4, "undecided"), (3, 1, "undecided")],
)
def test_a_claim_is_decided_by_its_interval_and_never_by_four_seeds(centre: int, seeds: int, verdict: str) -> None:
    values = centre + torch.randn(seeds, 30, generator=torch.Generator().manual_seed(0))
    decision = statistics.decide(statistics.interval_over_demonstrations(values))
    assert decision.verdict == verdict
    assert ("fewer than 5" in decision.reason) == (seeds == 4)


def test_an_interval_over_queries_alone_decides_nothing() -> None:
    decision = statistics.decide(statistics.conditional_interval(3 + with_holes(6, 30)))
    assert decision.verdict == "undecided" and "conditional" in decision.reason


def test_six_seeds_decide_nothing_about_specificity() -> None:
    interval = statistics.interval_over_demonstrations(3 + with_holes(6, 30))
    assert statistics.decide(interval).verdict == "supported"
    of_specificity = statistics.decide(interval, statistics.SEEDS_FOR_SPECIFICITY)
    assert of_specificity.verdict == "undecided" and of_specificity.reason == "6 demonstration seeds, fewer than 7"
