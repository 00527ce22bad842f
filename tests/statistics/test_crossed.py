"""Facts about means over sets and queries that are crossed, and, by small simulations, that what is promised holds.

`benchmarks/coverage.py` has the same in full; bounds here are those of the binomial distribution, beyond one in a
million.
"""

from collections.abc import Callable, Iterator
from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from demograd import statistics
from demograd.statistics.crossed import crossed_products, pooled_mean
from demograd.statistics.estimated_mean import EstimatedMean, mean_of_independent
from demograd.statistics.parts import parts_of_mean, parts_of_ratio
from demograd.statistics.ratio import ratio

# standard deviations of the effects of set, query and both
REGIMES = {"sets": (1.0, 0.0, 0.1), "queries": (0.0, 1.0, 0.1), "both": (0.0, 0.0, 1.0), "alike": (0.2, 0.4, 1.0)}


def table(random: np.random.Generator, sets: int, queries: int, *deviations: float) -> np.ndarray:
    """A crossed table around zero."""
    of_sets, of_queries, of_both = deviations
    draw = random.standard_normal
    return of_sets * draw((sets, 1)) + of_queries * draw((1, queries)) + of_both * draw((sets, queries))


def likely(share: float, runs: int) -> tuple[float, float]:
    """Between what an event of this probability lies, as a share of the runs, but for one in a million."""
    low, high = binom.ppf([5e-7, 1 - 5e-7], runs, share)
    return low / runs, high / runs


def test_mean_squares_by_hand() -> None:
    """Rows 1 2 6 and 3 8 4: means 3 and 5 of rows, 2 5 5 of columns, 4 of all; what remains is 0 −2 2 and 0 2 −2."""
    products = crossed_products(np.array([[[1.0, 2, 6], [3, 8, 4]]]))
    assert products.of_seeds.item() == 3 * (1 + 1) / 1
    assert products.of_queries.item() == 2 * (4 + 1 + 1) / 2
    assert products.of_both.item() == 4 * 4 / (1 * 2)
    mean = products.weighted(1.0)
    assert mean.variance == pytest.approx(6 / 6)  # 6 + 6 − 8 is below what sets alone account for


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 20), st.integers(0, 1000))
def test_a_mean_of_a_sum_of_tables_is_that_of_the_table_of_sums(sets: int, queries: int, draw: int) -> None:
    random = np.random.default_rng(draw)
    first, second = (table(random, sets, queries, 1.0, 0.5, 1.0) for _ in range(2))
    both = crossed_products(np.stack([first, second])).weighted(2.0, -3.0)
    whole = statistics.mean_of_parts(2 * first - 3 * second, "demonstrations")
    assert whole is not None
    assert (both.estimate, both.variance, both.degrees) == pytest.approx(
        (whole.estimate, whole.variance, whole.degrees), abs=1e-9
    )
    shifted = statistics.mean_of_parts(first + 7, "demonstrations")
    plain = statistics.mean_of_parts(first, "demonstrations")
    assert shifted is not None and plain is not None
    assert (shifted.estimate - 7, shifted.variance) == pytest.approx((plain.estimate, plain.variance))


def test_sets_that_happen_to_lie_close_do_not_lend_themselves_the_degrees_of_the_queries() -> None:
    """Five sets with the same mean: what is known of how sets vary is still what five sets tell."""
    scores = np.random.default_rng(0).standard_normal((5, 100))
    scores -= scores.mean(axis=1, keepdims=True)
    mean = statistics.mean_of_parts(scores, "demonstrations")
    assert mean is not None and mean.degrees < 8
    of_queries = statistics.mean_of_parts(scores + 5 * np.random.default_rng(1).standard_normal(100), "demonstrations")
    assert of_queries is not None and of_queries.degrees > 80


@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("sets", [5, 8])
def test_crossed_intervals_cover_and_their_tails_are_no_lie(sets: int, regime: str, missing: float) -> None:
    """Whatever varies, and whatever is missing; at 0.001 an error of twice that is allowed for."""
    random, runs = np.random.default_rng(1), 800
    means = []
    for _ in range(runs):
        scores = table(random, sets, 40, *REGIMES[regime])
        scores[random.random(scores.shape) < missing] = np.nan
        mean = statistics.mean_over_seeds(torch.from_numpy(scores))
        assert mean is not None
        means.append(mean)
    p_values = np.array([mean.p_outside(0.0, 0.0) for mean in means])
    assert likely(0.93, runs)[0] <= np.mean(p_values > 0.05)
    assert np.mean(p_values <= 0.001) <= likely(0.002, runs)[1]
    if regime in ("sets", "queries") and not missing:
        assert np.mean(p_values > 0.05) <= likely(0.95, runs)[1]


def worlds(random: np.random.Generator, runs: int, specific: float) -> Iterator[statistics.MatchingTest]:
    """Seven sets, and main effects of 95 % of the variance; a share of the interaction is specific."""
    for _ in range(runs):
        icl, noise = random.standard_normal((2, 7, 128))
        interaction = icl @ (specific * icl + (1 - specific**2) ** 0.5 * noise).T / 128
        main = 0.27 * (random.standard_normal((7, 1)) + random.standard_normal((1, 7)))
        yield statistics.match(torch.from_numpy((2 + main + interaction)[:, :, None]))


def test_matching_finds_nothing_where_there_is_nothing_and_what_there_is() -> None:
    random, runs = np.random.default_rng(2), 200
    size = np.mean([test.p_value <= 0.05 for test in worlds(random, runs, 0.0)])
    power = np.mean([test.p_value <= 0.05 for test in worlds(random, runs, 0.1)])
    assert size <= likely(0.05, runs)[1]
    assert likely(0.91, runs)[0] <= power


def test_the_trait_check_keeps_its_size_where_a_trait_makes_all_main_effects() -> None:
    random, runs = np.random.default_rng(3), 300
    raw, checked = [], []
    for _ in range(runs):
        trait, noise = 1 + 0.14 * random.standard_normal(8), random.standard_normal((8, 8)) / 128**0.5
        test = statistics.match(torch.from_numpy((2 * np.outer(trait, trait) + noise)[:, :, None]))
        raw.append(test.p_value <= 0.05)
        checked.append(max(test.p_value, test.trait_p_value) <= 0.05)
    assert np.mean(checked) <= likely(0.05, runs)[1] < np.mean(raw)


@pytest.mark.parametrize("deviations", [(0.05, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.3)])
def test_jackknife_intervals_of_specificity_and_its_share_cover(deviations: tuple[float, ...]) -> None:
    """Specificity and share are 0.1; pairs, sets and queries vary in it."""
    of_pairs, of_sets, of_queries = deviations
    random, runs, covered, of_share, equal = np.random.default_rng(4), 250, 0, 0, 0
    for _ in range(runs):
        draw = random.standard_normal
        specific = 0.1 + of_sets * draw((8, 1, 1)) + of_queries * draw((1, 1, 30))
        rest = of_pairs * draw((8, 8, 1)) + 0.02 * draw((8, 8, 30)) + 0.1 * (draw((8, 1, 1)) + draw((1, 8, 1)))
        test = statistics.match(torch.from_numpy(0.9 + rest + np.eye(8)[:, :, None] * specific))
        assert test.interval is not None and test.share_interval is not None
        covered += test.interval.low <= 0.1 <= test.interval.high
        of_share += test.share_interval.low <= 0.1 <= test.share_interval.high
        equal += test.p_equal <= 0.05
    assert min(covered, of_share) / runs >= likely(0.93, runs)[0]
    assert equal / runs <= likely(0.05, runs)[1]


def test_parts_of_a_mean_have_that_mean() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(4, 12, 3, generator=random).double()
    np.testing.assert_allclose(parts_of_mean(values), values.mean(dim=2))
    values[torch.rand(4, 12, 3, generator=random) < 0.4] = np.nan
    values[:, 2], values[:, :, 1] = np.nan, np.nan
    parts = parts_of_mean(values)
    assert parts.shape == (4, 11)
    expected = [statistics.aggregate(of_seed).value for of_seed in values]
    np.testing.assert_allclose(parts.mean(axis=1), expected)


def test_parts_of_a_ratio_have_that_ratio_and_no_spread_where_it_is_constant() -> None:
    below = np.array([1.0, 5.0, 2.0])
    np.testing.assert_allclose(parts_of_ratio(np.stack([3 * below, 0.5 * below]), below), [[3] * 3, [0.5] * 3])
    above = np.array([[1.0, 4.0, 7.0]])
    assert parts_of_ratio(above, below).mean() == pytest.approx(12 / 8)


def test_the_interval_of_a_ratio_is_fiellers() -> None:
    """With queries that are all alike, t with S − 1 degrees of freedom: the roots of a quadratic."""
    first, second = np.array([1.0, 2.0, 4.0, 3.0]), np.array([5.0, 6.0, 9.0, 7.0])
    products = crossed_products(np.stack([first, second])[:, :, None].repeat(3, axis=2))
    result = ratio([products], 0.95)
    spread, t = np.cov(first, second) / 4, 3.182446
    a, b = second.mean() ** 2 - t**2 * spread[1, 1], first.mean() * second.mean() - t**2 * spread[0, 1]
    c = first.mean() ** 2 - t**2 * spread[0, 0]
    roots = (b - (b * b - a * c) ** 0.5) / a, (b + (b * b - a * c) ** 0.5) / a
    assert result.interval is not None and result.value == pytest.approx(10 / 27)
    assert (result.interval.low, result.interval.high) == pytest.approx(roots, rel=1e-5)
    nothing = ratio([crossed_products(np.stack([first, second - second.mean()])[:, :, None].repeat(3, axis=2))], 0.95)
    assert isnan(nothing.value) and nothing.interval is None


def test_a_mean_of_independent_means_has_satterthwaites_degrees() -> None:
    """Two alike of four degrees each: half the variance, and eight degrees."""
    mean = EstimatedMean(1.0, 0.5, 4.0, "demonstrations", 5, 10)
    both = mean_of_independent([mean, mean])
    assert (both.estimate, both.variance, both.degrees) == (1.0, 0.25, 8.0)
    assert mean_of_independent([mean]) == mean
    products = crossed_products(np.random.default_rng(0).standard_normal((1, 5, 10)))
    assert pooled_mean([products, products], 1.0).variance == pytest.approx(products.weighted(1.0).variance / 2)


@pytest.mark.parametrize("p_value", [EstimatedMean.p_outside, EstimatedMean.p_within])
def test_p_values_of_ranges_are_where_their_intervals_touch(p_value: Callable[..., float]) -> None:
    for estimate in (0.1, 0.9, 1.2, -0.4):
        mean = EstimatedMean(estimate, 0.04, 6.0, "demonstrations", 7, 10)
        p = p_value(mean, 0.0, 1.0)
        if 0 < p < 1:
            interval = mean.interval(1 - p)
            assert min(abs(x - y) for x in (interval.low, interval.high) for y in (0.0, 1.0)) < 1e-9
        assert p_value(mean, -np.inf, np.inf) == (1.0 if p_value is EstimatedMean.p_outside else 0.0)
