"""Facts about matching: main effects cancel, a shared trait is found out, p-values are those of full enumeration."""

from itertools import permutations
from math import factorial, inf, isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from demograd import statistics
from demograd.statistics.pairings import interaction, pairing_test, without_trait

ROWS = torch.tensor([1.0, 5.0, -2.0, 0.5]).double()
COLUMNS = torch.tensor([0.3, -4.0, 2.0, 7.0]).double()


def of_matrix(matrix: Tensor, queries: int = 3) -> Tensor:
    """Scores [sets, sets, queries, layers] that are the same for all queries and layers."""
    return matrix.double()[:, :, None, None].repeat(1, 1, queries, 2)


def similarities(
    sets: int = 8, specific: float = 0.0, *, queries: int = 40, of_sets: float = 0.03, draw: int = 0
) -> Tensor:
    """Similarities around 0.2 with main effects of both sets, an interaction, noise of queries, and a diagonal."""
    random = torch.Generator().manual_seed(draw)
    main = of_sets * (torch.randn(sets, 1, 1, generator=random) + torch.randn(1, sets, 1, generator=random))
    pairs = 0.005 * torch.randn(sets, sets, 1, generator=random)
    noise = 0.01 * torch.randn(sets, sets, queries, generator=random)
    return (0.2 + main + pairs + noise + specific * torch.eye(sets)[:, :, None]).double()


def p_values(matrix: np.ndarray) -> tuple[float, float]:
    """By full enumeration, of the matrix as it is."""
    n = len(matrix)
    sums = [sum(matrix[i, pairing[i]] for i in range(n)) for pairing in permutations(range(n))]
    actual = np.trace(matrix)
    total = factorial(n)
    return sum(x >= actual - 1e-9 for x in sums) / total, sum(x <= actual + 1e-9 for x in sums) / total


def test_main_effects_of_sets_cancel() -> None:
    test = statistics.match(of_matrix(ROWS[:, None] + COLUMNS))
    assert test.specificity == pytest.approx(0, abs=1e-12)
    assert test.matched == pytest.approx(float((ROWS + COLUMNS).mean()))
    assert (test.p_value, test.p_opposite) == (1, 1)
    assert test.interval is None, "nothing tells how well it is known"
    assert test.identified == 0  # all pairings are ties, and none of them is evidence


def test_a_matrix_by_hand() -> None:
    """Diagonal 4, 6, 5; the rest 1, 2, 3, 1, 2, 3: matched 5, mismatched 2, so a specific share of three fifths."""
    matrix = torch.tensor([[4.0, 1, 2], [3, 6, 1], [2, 3, 5]])
    test = statistics.match(of_matrix(matrix))
    assert (test.matched, test.mismatched, test.specificity) == pytest.approx((5, 2, 3))
    assert test.share == pytest.approx(0.6)
    assert (test.p_value, test.p_opposite, test.identified) == (1 / 6, 1, 1)
    np.testing.assert_allclose(test.matrix, matrix.numpy())
    assert (test.n_sets, test.n_queries, test.n_missing) == (3, 3, 0)


def test_the_interval_by_hand() -> None:
    """Left out one by one, sets leave specificities 5.5 − 2, 4.5 − 2 and 5 − 2: a standard error of √((2/3) · ½), and
    t with two degrees of freedom."""
    test = statistics.match(of_matrix(torch.tensor([[4.0, 1, 2], [3, 6, 1], [2, 3, 5]])))
    assert test.interval is not None
    assert (test.interval.low, test.interval.high) == pytest.approx(
        (3 - 4.302653 * 3**-0.5, 3 + 4.302653 * 3**-0.5), rel=1e-6
    )


@pytest.mark.parametrize("sets", [2, 3, 5, 8])
def test_an_identity_matrix_has_the_smallest_p_value_there_is(sets: int) -> None:
    test = statistics.match(of_matrix(torch.eye(sets)))
    assert test.p_value == pytest.approx(1 / factorial(sets))
    assert (test.p_opposite, test.identified, test.share) == (1, 1, 1)


@pytest.mark.parametrize("sets", [2, 3, 6])
def test_p_values_are_those_of_full_enumeration(sets: int) -> None:
    for draw in range(5):
        values = similarities(sets, 0.002, draw=draw)
        test = statistics.match(values)
        matrix = values.mean(dim=2).numpy()
        assert (test.p_value, test.p_opposite) == pytest.approx(p_values(matrix))
        of_rest = p_values(without_trait(matrix))
        assert (test.trait_p_value, test.trait_p_opposite) == pytest.approx(of_rest)


def test_nine_sets_are_permuted_by_draws_close_to_all_permutations() -> None:
    matrix = similarities(9, 0.004, draw=3).mean(dim=2).numpy()
    exact = p_values(matrix)[0]
    assert 0.001 < exact < 0.5
    (test,) = pairing_test([matrix], interaction, seed=0)
    assert test.p_value == pytest.approx(exact, abs=4 * (exact / 20_000) ** 0.5)
    largest = statistics.match(of_matrix(torch.eye(9)))
    assert largest.p_value == pytest.approx(1 / 20_001)


def test_sets_that_find_each_other_do_not_find_their_own() -> None:
    shifted = torch.eye(5)[[1, 2, 3, 4, 0]]
    assert statistics.match(of_matrix(shifted)).identified == 0
    swapped = torch.eye(5)[[1, 0, 2, 3, 4]] + ROWS.mean() + torch.arange(5)  # a set of large scores attracts nobody
    assert statistics.match(of_matrix(swapped)).identified == pytest.approx(0.6)


def test_the_trait_check_finds_a_product_of_main_effects() -> None:
    """Scores 0.2 + 0.1 t_i + 0.1 t_j + t_i t_j: the pairing matters, and nothing of it but the trait."""
    trait = torch.tensor([-2.0, -1.2, -0.5, 0.1, 0.4, 0.9, 2.3]).double()
    trait -= trait.mean()
    noise = 0.01 * torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    matrix = 0.2 + 0.1 * trait[:, None] + 0.1 * trait + trait[:, None] * trait + noise
    test = statistics.match(of_matrix(matrix))
    assert test.p_value == pytest.approx(1 / factorial(7)) and test.trait_p_value > 0.1
    decision = statistics.decide_matching({"claim": test})["claim"]
    assert decision.verdict == "undecided" and "trait" in decision.reason
    exact = statistics.match(of_matrix(matrix - noise))
    assert without_trait(exact.matrix) == pytest.approx(0, abs=1e-12)


def test_the_trait_check_lets_pass_what_is_specific() -> None:
    test = statistics.match(similarities(7, 0.05))
    assert test.trait_p_value == test.p_value == pytest.approx(1 / factorial(7))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10_000))
def test_nothing_depends_on_main_effects_or_on_the_order_of_sets(sets: int, draw: int) -> None:
    values = similarities(sets, 0.003, draw=draw, queries=5)
    random = torch.Generator().manual_seed(draw + 1)
    test = statistics.match(values)
    rows, columns = torch.randn(sets, 1, 5, generator=random), torch.randn(1, sets, 5, generator=random)
    moved = statistics.match(values + rows + columns)
    order = torch.randperm(sets, generator=random)
    relabelled = statistics.match(values[order][:, order])
    for other in (moved, relabelled):
        assert other.specificity == pytest.approx(test.specificity, abs=1e-9)
        assert (other.p_value, other.p_opposite) == (test.p_value, test.p_opposite)
        assert other.identified == test.identified
        if test.interval is not None:
            assert other.interval is not None
            assert (other.interval.low, other.interval.high) == pytest.approx(
                (test.interval.low, test.interval.high), abs=1e-9
            )
    assert relabelled.trait_p_value == pytest.approx(test.trait_p_value)


def test_a_layer_alone_is_tested_as_a_matrix_alone() -> None:
    values = torch.stack([similarities(5, 0.01, draw=draw) for draw in range(3)], dim=-1)
    values[..., 1] = nan
    tests = statistics.match_layers(values)
    assert tests[1].reason == "no query has a value for every pair of sets" and isnan(tests[1].p_value)
    for layer in (0, 2):
        alone = statistics.match(values[..., layer])
        assert (tests[layer].p_value, tests[layer].interval, tests[layer].share) == (
            alone.p_value,
            alone.interval,
            alone.share,
        )
    assert statistics.match(values).specificity == pytest.approx((tests[0].specificity + tests[2].specificity) / 2)


def test_a_query_that_some_pair_lacks_counts_for_none() -> None:
    values = similarities(4, 0.01, queries=6)
    values[:, :, 2] += 5 * torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    alone = statistics.match(values[:, :, [0, 1, 3, 4, 5]])
    values[1, 3, 2] = nan
    test = statistics.match(values)
    assert (test.n_queries, test.n_missing, test.specificity) == (5, 1, pytest.approx(alone.specificity))
    assert test.interval is not None and alone.interval is not None
    assert test.interval.high == pytest.approx(alone.interval.high)


def test_queries_then_layers_are_averaged_where_layers_lack_queries() -> None:
    values = torch.stack([similarities(4, queries=6, draw=draw) for draw in range(2)], dim=-1)
    values[:, :, :4, 1] = nan
    expected = (values[..., 0].mean(dim=2) + values[:, :, 4:, 1].mean(dim=2)) / 2
    np.testing.assert_allclose(statistics.match(values).matrix, expected.numpy())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (torch.empty(0, 0, 4), "there are none"),
        (torch.ones(1, 1, 4), "there is one"),
        (torch.empty(3, 3, 0), "no query has a value for every pair of sets"),
        (torch.full((3, 3, 4), nan), "no query has a value for every pair of sets"),
        (torch.ones(3, 3, 4).index_fill(1, torch.tensor([1]), nan), "fine-tuning on set 2 of 3 has no value"),
        (torch.ones(3, 3, 4).index_fill(0, torch.tensor([0, 2]), nan), "in-context learning on sets 1, 3 of 3 has no"),
        (torch.ones(3, 3, 4).index_fill(1, torch.tensor([1]), inf), "diverged: 12 of 36 values are not finite"),
    ],
)
def test_what_cannot_be_tested_says_why(values: Tensor, reason: str) -> None:
    test = statistics.match(values)
    assert reason in test.reason
    assert test.interval is None and all(map(isnan, (test.specificity, test.share, test.p_value, test.identified)))
    decision = statistics.decide_matching({"claim": test})["claim"]
    assert decision.verdict == "undecided" and decision.reason == test.reason
    assert reason in statistics.pool([test, statistics.match(similarities(4))]).reason


def test_matching_takes_as_many_sets_on_both_sides() -> None:
    with pytest.raises(ValueError, match="not 3 of 4"):
        statistics.match(torch.ones(4, 3, 2))


def test_two_sets_have_a_p_value_and_no_interval() -> None:
    test = statistics.match(similarities(2, 0.1))
    assert test.p_value == 0.5 and test.interval is None and isnan(test.p_equal) and not test.reason
    assert test.why_no_interval == "there are two sets alone"


@pytest.mark.parametrize("rounding", [0.0, 3e-8])
def test_without_variation_no_difference_is_shown_to_be_small(rounding: float) -> None:
    """Signs: ICL and FT change the same label word with any set, and every pair of sets is alike on every query."""
    signs = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0, 1.0]).expand(8, 8, 6)
    noise = torch.randn(8, 8, 6, generator=torch.Generator().manual_seed(0))
    varied = statistics.match(similarities(8, draw=3))
    test = statistics.match(signs + rounding * noise)
    for without in (test, statistics.pool([test, varied])):
        assert (without.interval, without.share_interval) == (None, None) and isnan(without.p_equal)
        decision = statistics.decide_matching({"claim": without})["claim"]
        assert decision.verdict == "undecided"
        assert decision.reason.endswith(f"; {without.why_no_interval}: no variation to test against")
    alike = "all sets differ by the same amount"
    assert test.why_no_interval == alike and varied.why_no_interval == ""
    assert statistics.pool([test, varied]).why_no_interval == f"in 1 of 2 tasks {alike}"
    assert statistics.share_of(test, statistics.match(similarities(8, 0.05, queries=6))).interval is None
    doubled = statistics.double_difference(signs, signs - rounding * noise)
    assert isnan(doubled.p_equal), "rounding is that of the scores, not of their difference"


def test_without_variation_the_pairing_can_be_shown_to_matter() -> None:
    test = statistics.match(of_matrix(torch.eye(8)))
    assert test.p_value == pytest.approx(1 / factorial(8)) and test.interval is None
    decision = statistics.decide_matching({"claim": test})["claim"]
    assert decision.verdict == "supported" and "of their similarity" not in decision.reason, "the share has no bounds"


def test_one_query_has_the_interval_of_sets_alone() -> None:
    values = similarities(5, 0.02, queries=1)
    single, same = statistics.match(values), statistics.match(values.repeat(1, 1, 7))
    assert single.interval is not None and same.interval is not None
    assert (single.interval.low, single.interval.high) == pytest.approx((same.interval.low, same.interval.high))


def test_what_flips_with_the_labels_is_all_that_a_double_difference_keeps() -> None:
    of_words = similarities(7, 0.05, draw=1)
    of_labels = 0.03 * torch.eye(7)[:, :, None]
    test = statistics.double_difference(of_words + of_labels, of_words + similarities(7, of_sets=0.1, draw=2) - 0.2)
    assert test.specificity == pytest.approx(0.03, abs=0.005)
    assert test.p_value == pytest.approx(1 / factorial(7))
    assert statistics.double_difference(of_words, of_words).specificity == 0
    assert statistics.double_difference(of_words, of_words.index_fill(0, torch.tensor([2]), inf)).reason


def test_where_labels_do_not_matter_that_is_shown_of_a_share_of_the_whole_similarity() -> None:
    """The matched score is one of words; flipping the labels changes next to nothing, and nothing of the diagonal."""
    of_words = similarities(8, 0.05, draw=1)
    noise = 1e-3 * torch.randn(of_words.shape, generator=torch.Generator().manual_seed(3), dtype=of_words.dtype)
    test = statistics.double_difference(of_words, of_words + noise)
    assert test.similarity == pytest.approx(statistics.match(of_words).matched)
    assert test.share == pytest.approx(test.specificity / test.similarity) and abs(test.share) < 0.02
    assert abs(test.matched) < 0.01 * test.similarity, "there is nothing to have a share of"
    assert test.share_interval is not None and -0.1 < test.share_interval.low < test.share_interval.high < 0.1
    for decided in (test, statistics.pool([test, test])):
        assert statistics.decide_matching({"claim": decided})["claim"].verdict == "not specific"
    assert statistics.pool([test, test]).similarity == pytest.approx(test.similarity)


def test_pooled_tasks_show_what_none_of_them_shows() -> None:
    tests = [statistics.match(similarities(7, 0.003, draw=draw)) for draw in range(8)]
    assert sum(test.p_value < 0.01 for test in tests) < 4
    pooled = statistics.pool(tests)
    assert pooled.p_value < 0.01 < pooled.p_opposite
    assert pooled.specificity == pytest.approx(np.mean([test.specificity for test in tests]))
    assert pooled.interval is not None and pooled.share_interval is not None
    widths = [test.interval.high - test.interval.low for test in tests if test.interval is not None]
    assert pooled.interval.high - pooled.interval.low < 0.6 * np.mean(widths)
    assert (pooled.n_sets, pooled.n_queries) == (7, 320)


def test_a_pool_of_small_matrices_has_the_p_values_of_full_enumeration() -> None:
    matrices = [similarities(3, 0.003, draw=draw).mean(dim=2).numpy() for draw in range(2)]
    sums = [[sum(m[i, p[i]] for i in range(3)) for p in permutations(range(3))] for m in matrices]
    exact = np.mean([a + b >= sums[0][0] + sums[1][0] - 1e-9 for a in sums[0] for b in sums[1]])
    pooled = statistics.pool([statistics.match(of_matrix(torch.tensor(matrix))) for matrix in matrices])
    assert pooled.p_value == pytest.approx(exact, abs=0.015)
    assert statistics.pool([]).reason == "there is no matrix"


def test_a_share_of_the_ceiling() -> None:
    ceiling = similarities(8, 0.08, draw=5)
    half = statistics.match(0.5 * ceiling + similarities(8, of_sets=0.1, draw=6) / 50)
    share = statistics.share_of(half, statistics.match(ceiling))
    assert share.value == pytest.approx(0.5, abs=0.01)
    assert share.interval is not None and share.interval.low < 0.5 < share.interval.high
    assert share.interval.high - share.interval.low < 0.02  # both vary together
    with pytest.raises(ValueError, match="same sets and queries"):
        statistics.share_of(half, statistics.match(similarities(7)))


def test_the_interval_of_a_share_agrees_with_its_p_value() -> None:
    sides = set()
    for draw in range(20):
        test = statistics.match(similarities(8, 0.016, draw=draw, of_sets=0.01))
        assert test.share_interval is not None
        within = test.share_interval.low > -0.1 and test.share_interval.high < 0.1
        assert (test.p_equal <= 0.05) == within
        sides.add(within)
    assert sides == {True, False}


def test_a_share_of_nothing_has_no_interval() -> None:
    test = statistics.match(similarities(8) - 0.17)
    assert test.share_interval is None and test.p_equal > 0.05
    assert test.why_no_interval == "the similarity is not shown to be above zero" and test.interval is not None
    negative = statistics.match(similarities(8) - 0.5)
    assert isnan(negative.share) and negative.p_equal == 1
    assert negative.why_no_interval == "the similarity is not above zero"


@pytest.mark.parametrize(
    ("specific", "sets", "verdict", "reason"),
    [
        (0.05, 8, "supported", "more alike than mismatched ones, by 2"),
        (-0.05, 8, "contradicted", "less alike than mismatched ones, by 3"),
        (0.0, 8, "not specific", "what is specific is at most"),
        (0.008, 8, "not specific", "what is specific is detectable"),
        (0.05, 6, "undecided", "6 demonstration sets, fewer than 7"),
    ],
)
def test_a_claim_of_specificity_has_four_verdicts(specific: float, sets: int, verdict: str, reason: str) -> None:
    decision = statistics.decide_matching({"claim": statistics.match(similarities(sets, specific))})["claim"]
    assert decision.verdict == verdict and reason in decision.reason


def test_a_small_share_is_specific_where_the_margin_is_smaller() -> None:
    test = statistics.match(similarities(8, 0.008), margin=0.01)
    assert statistics.decide_matching({"claim": test})["claim"].verdict == "supported"


def test_what_is_not_shown_is_undecided() -> None:
    random = torch.randn(8, 8, 5, generator=torch.Generator().manual_seed(0)).double()
    decision = statistics.decide_matching({"claim": statistics.match(0.2 + 0.3 * random)})["claim"]
    assert decision.verdict == "undecided" and "not shown to be more alike" in decision.reason


def test_one_claim_among_many_must_be_shown_more_strongly() -> None:
    """A claim asks two questions, and a test on few sets none."""
    test = next(
        t
        for d in range(99)
        if 0.006 < (t := statistics.match(similarities(7, 0.003, draw=d), margin=1e-9)).p_value < 0.012
    )
    noise = torch.randn(20, 7, 7, 5, generator=torch.Generator().manual_seed(3)).double()
    others = {str(place): statistics.match(0.2 + values, margin=1e-9) for place, values in enumerate(noise)}
    few = {"few": statistics.match(similarities(5, 0.05))}
    assert statistics.decide_matching({"claim": test} | few)["claim"].verdict == "supported"
    among = statistics.decide_matching({"claim": test, **others, **few})
    assert among["claim"].verdict == "undecided" and among["claim"].n_tested == 42
    assert among["claim"].p_value == pytest.approx(42 * test.p_two_sided)
