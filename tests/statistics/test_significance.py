"""Facts about paired tests, families of them, and the verdicts they give."""

from math import inf, nan, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from torch import Tensor

from demograd import statistics


def differences(centre: float, *, seeds: int = 5, queries: int = 30, of_seeds: float = 0.2, draw: int = 0) -> Tensor:
    """Differences in a crossed design: an effect per demonstration seed, and noise."""
    random = torch.Generator().manual_seed(draw)
    effects = of_seeds * torch.randn(seeds, 1, generator=random)
    return centre + effects + torch.randn(seeds, queries, generator=random)


def constant(*of_seeds: float, queries: int = 6) -> Tensor:
    """Differences that are the same for all queries of a seed."""
    return torch.tensor(of_seeds, dtype=torch.float64)[:, None].repeat(1, queries)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_a_p_value_never_disagrees_with_its_interval(level: float) -> None:
    sides = set()
    for draw in range(20):
        test = statistics.paired_test(differences(0.35, draw=draw), level=level)
        assert test.interval is not None
        leaves_out_zero = test.interval.low > 0 or test.interval.high < 0
        assert (test.p_value <= 1 - level) == leaves_out_zero
        sides.add(leaves_out_zero)
    assert sides == {True, False}


def test_an_interval_at_the_level_of_the_p_value_touches_zero() -> None:
    values = differences(0.4)
    test = statistics.paired_test(values)
    assert 0.002 < test.p_value < 0.2
    touching = statistics.interval_over_demonstrations(values, level=1 - test.p_value)
    assert touching is not None and touching.low == pytest.approx(0, abs=1e-3)
    assert test.interval == statistics.interval_over_demonstrations(values)


def test_between_seeds_alone_the_p_value_is_that_of_the_t_test() -> None:
    """Queries are all alike: what varies are the means of the seeds."""
    of_seeds = torch.randn(7, generator=torch.Generator().manual_seed(2)).double() + 1
    test = statistics.paired_test(constant(*of_seeds.tolist()))
    assert test.p_value == pytest.approx(ttest_1samp(of_seeds.numpy(), 0).pvalue)


def test_between_queries_alone_the_p_value_is_that_of_their_t_test() -> None:
    """All seeds say the same of a query, but for noise."""
    queries = torch.randn(40, generator=torch.Generator().manual_seed(2)).double() + 0.4
    noise = 1e-3 * torch.randn(6, 40, generator=torch.Generator().manual_seed(3)).double()
    test = statistics.paired_test(queries + noise)
    assert test.p_value == pytest.approx(ttest_1samp(queries.numpy(), 0).pvalue, rel=0.02)


def test_without_an_effect_few_p_values_are_small() -> None:
    p_values = np.array([statistics.paired_test(differences(0, draw=d)).p_value for d in range(400)])
    assert (p_values <= 0.05).mean() <= 0.08
    assert (p_values <= 0.5).mean() <= 0.58
    assert (p_values <= 0.5).mean() >= 0.2


def test_a_p_value_is_two_sided() -> None:
    values = differences(0.4)
    up, down = statistics.paired_test(values), statistics.paired_test(-values)
    assert up.p_value == pytest.approx(down.p_value, rel=1e-6)
    assert up.effect_size == pytest.approx(-down.effect_size)


@pytest.mark.parametrize("amount", [1.0, -0.1, 1e-9])
@pytest.mark.parametrize("margin", [None, 0.5])
def test_differences_that_are_all_alike_are_no_evidence(amount: float, margin: float | None) -> None:
    test = statistics.paired_test(constant(*[amount] * 5), margin=margin)
    assert test.difference == pytest.approx(amount) and (test.n_seeds, test.n_queries) == (5, 6)
    assert test.interval is None and "no variation" in test.reason
    values = torch.linspace(0.1, 0.6, 5)[:, None].repeat(1, 6)
    assert "no variation" in statistics.paired_test(values + 0.3 - values).reason, "but for float32's rounding"
    assert np.isnan([test.p_value, test.p_equal, test.effect_size]).all()
    decision = statistics.decide_all({"claim": test, "another": statistics.paired_test(differences(3))})
    assert decision["claim"].verdict == "undecided" and "no variation" in decision["claim"].reason
    assert decision["another"].n_tested == 1, "what is not tested is no part of the family"


def test_what_never_differs_is_no_difference() -> None:
    test = statistics.paired_test(constant(0, 0, 0, 0, 0), margin=1e-6)
    assert (test.p_value, test.p_equal, test.reason) == (1, 0, "")


def test_an_effect_size_by_hand() -> None:
    """Differences over seeds are 1, 2 and 3: mean 2, deviation 1; with two degrees of freedom the factor is 1/√π."""
    test = statistics.paired_test(constant(1, 2, 3))
    assert test.difference == pytest.approx(2)
    assert test.effect_size == pytest.approx(2 / sqrt(pi))
    assert statistics.hedges_g(1.0, 2.0, 5) == pytest.approx(0.5 * 0.7978846)  # Γ(2) / (√2 Γ(3/2)) = √(2/π)


def test_an_effect_without_a_spread_is_infinite_and_none_at_all_is_missing() -> None:
    assert statistics.hedges_g(0.5, 0.0, 3) == inf
    assert statistics.hedges_g(-0.5, 0.0, 3) == -inf
    assert np.isnan(statistics.paired_test(constant(0, 0, 0)).effect_size)
    assert np.isnan(statistics.paired_test(constant(1, 2)).effect_size)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (constant(1.0), "one demonstration seed has a value"),
        (constant(1.0, nan), "one demonstration seed has a value"),
        (constant(nan, nan, nan), "no demonstration seed has a value"),
        (constant(1.0, 2.0, 3.0, queries=1), "1 query has a value"),
    ],
)
def test_what_cannot_be_tested_says_why(values: Tensor, reason: str) -> None:
    test = statistics.paired_test(values)
    assert test.interval is None and np.isnan(test.p_value)
    assert reason in test.reason


def test_each_seed_may_select_its_own_queries() -> None:
    """Seeds select queries {0, 1}, {1, 2} and none: means 2 and 6; the third is missing, not zero."""
    scores = torch.tensor([[1.0, 3.0, 100.0], [100.0, 5.0, 7.0], [1.0, 1.0, 1.0]])
    selections = torch.tensor([[True, True, False], [False, True, True], [False, False, False]])
    values = torch.stack([statistics.only(s, chosen) for s, chosen in zip(scores, selections, strict=True)])
    test = statistics.paired_test(values)
    assert test.difference == pytest.approx(4)
    assert (test.n_seeds, test.n_queries) == (2, 3)
    of_each = [statistics.aggregate(s[chosen][:, None]) for s, chosen in zip(scores, selections, strict=True)]
    assert [aggregate.status for aggregate in of_each] == ["ok", "ok", "nothing selected"]
    assert statistics.over_seeds([aggregate.value for aggregate in of_each]).mean == pytest.approx(4)
    assert statistics.aggregate(torch.full((2, 1), nan)).status == "missing"


def test_a_selection_drops_queries_of_every_layer_and_head() -> None:
    selected = statistics.only(torch.ones(3, 2, 4), torch.tensor([True, False, True]))
    assert selected.isnan().all(dim=(1, 2)).tolist() == [False, True, False]
    assert selected.isnan().sum() == 8


def test_rec2ftp_goes_through_the_same_statistics() -> None:
    values = torch.stack([torch.tensor([1.0, nan, 0.0, 1.0]), torch.tensor([nan, 1.0, 1.0, nan])])
    test = statistics.paired_test(values)
    assert test.difference == pytest.approx((2 / 3 + 1) / 2)


def test_holm_by_hand() -> None:
    """The products are 0.01 · 4, 0.02 · 3, 0.03 · 2 = 0.06 again, and 0.04 · 1, raised to the value before it."""
    corrected = statistics.holm([0.04, nan, 0.01, 0.03, 0.02])
    assert corrected.p_values == pytest.approx((0.06, nan, 0.04, 0.06, 0.06), nan_ok=True)
    assert (corrected.n_tested, corrected.n_not_tested) == (4, 1)
    assert statistics.holm([0.7, 0.6]).p_values == (1, 1)
    assert statistics.holm([]).p_values == ()


def verdict(values: Tensor, margin: float | None = None) -> str:
    return statistics.decide_all({"claim": statistics.paired_test(values, margin=margin)})["claim"].verdict


def test_a_claim_of_more_is_decided_on_either_side() -> None:
    assert verdict(differences(3)) == "supported"
    assert verdict(differences(-3)) == "contradicted"
    assert verdict(differences(0)) == "undecided"
    assert verdict(differences(3, seeds=4)) == "undecided"


def test_a_claim_of_no_difference_needs_more_than_no_evidence() -> None:
    nothing, small = differences(0, of_seeds=0), differences(0, of_seeds=0, queries=400)
    assert verdict(nothing, margin=0.1) == "undecided"
    assert verdict(small, margin=0.3) == "supported"
    assert verdict(differences(3), margin=0.3) == "contradicted"
    assert verdict(differences(0, of_seeds=0, queries=400, seeds=4), margin=0.3) == "undecided"


def test_a_difference_of_rounding_is_no_difference() -> None:
    rounding = constant(1e-9, 2e-9, 1e-9, 2e-9, 1e-9)
    test = statistics.paired_test(rounding, margin=1e-6)
    assert test.p_value < 0.05 and test.p_equal < 1e-6
    decision = statistics.decide_all({"full-batch GD has no order sensitivity": test})
    assert decision["full-batch GD has no order sensitivity"].verdict == "supported"


def test_one_claim_among_many_must_be_shown_more_strongly() -> None:
    """A p value between 0.01 and 0.05 is enough alone, not among five."""
    tests = {str(draw): statistics.paired_test(differences(0, draw=draw)) for draw in range(4)}
    for draw in range(50):
        test = statistics.paired_test(differences(0.5, draw=draw))
        if 0.012 < test.p_value < 0.05:
            break
    assert statistics.decide_all({"one": test})["one"].verdict == "supported"
    among = statistics.decide_all({**tests, "one": test})["one"]
    assert among.verdict == "undecided"
    assert (among.p_value, among.n_tested) == (pytest.approx(5 * test.p_value), 5)


def test_a_claim_on_few_seeds_is_no_part_of_the_family() -> None:
    enough = statistics.paired_test(differences(3))
    few = {str(draw): statistics.paired_test(differences(3, seeds=4, draw=draw)) for draw in range(30)}
    decisions = statistics.decide_all({"enough": enough, **few})
    assert (decisions["enough"].verdict, decisions["enough"].n_tested) == ("supported", 1)
    assert decisions["0"].verdict == "undecided" and np.isnan(decisions["0"].p_value)
    assert decisions["0"].reason == "4 demonstration seeds, fewer than 5"
