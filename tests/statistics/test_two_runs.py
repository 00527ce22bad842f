"""Facts about scores of two runs: the size of the tests, what is not tested and why, and agreement with scipy."""

from math import inf, isnan, nan

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from demograd.statistics import paired_by_set, paired_specificities, unpaired, unpaired_specificities
from demograd.statistics.two_runs import IDENTICAL

SETS, DRAWS = 8, 300
LARGEST_SIZE = 0.05 + 3 * (0.05 * 0.95 / DRAWS) ** 0.5
"""At the level 0.05: three standard errors above it."""


def matrix(random: np.random.Generator, diagonal: float = 1.0, specificity: float = 0.0, sets: int = SETS) -> Tensor:
    """Main effects of both sets and noise, that of the diagonal `diagonal` times as large; [sets, sets, 1]."""
    main = random.standard_normal((sets, 1)) + random.standard_normal((1, sets))
    noise = random.standard_normal((sets, sets)) * (1 + (diagonal - 1) * np.eye(sets))
    return torch.tensor(main + noise + specificity * np.eye(sets))[..., None]


@pytest.mark.parametrize("diagonal", [1.0, 4.0])
def test_equal_specificities_are_rarely_shown_to_differ_however_much_the_diagonal_varies(diagonal: float) -> None:
    random = np.random.default_rng(0)
    nothing = torch.zeros(SETS, SETS, 1, dtype=torch.float64)
    p_values = [paired_specificities(nothing, matrix(random, diagonal)).p_value for _ in range(DRAWS)]
    assert np.mean(np.array(p_values) <= 0.05) < LARGEST_SIZE


def test_equal_specificities_of_other_sets_are_rarely_shown_to_differ() -> None:
    random = np.random.default_rng(1)
    pairs = [(matrix(random, 4.0), matrix(random, sets=10)) for _ in range(DRAWS)]
    p_values = np.array([unpaired_specificities(*both).p_value for both in pairs])
    assert np.mean(p_values <= 0.05) < LARGEST_SIZE


def test_a_difference_of_specificities_has_the_p_value_of_its_interval() -> None:
    random = np.random.default_rng(2)
    left = matrix(random)
    test = paired_specificities(left, left + matrix(random, specificity=3.0))
    assert test.interval is not None and test.interval.low > 0 and test.p_value < 0.05
    assert test.interval.low < test.difference < test.interval.high


def test_values_keep_their_precision() -> None:
    left, right = [0.1 + 1e-10 * place for place in range(5)], [0.1 + 1e-10 * place**2 for place in range(5)]
    assert paired_by_set(left, right).p_value == pytest.approx(stats.ttest_rel(right, left).pvalue)
    expected = stats.ttest_ind(right, left, equal_var=False)
    assert unpaired(left, right).p_value == pytest.approx(expected.pvalue)


def test_identical_scores_are_not_tested() -> None:
    values = [0.1, 0.2, nan, 0.4]
    test = paired_by_set(values, values)
    assert (test.difference, test.reason, test.n_seeds) == (0, IDENTICAL, 3) and isnan(test.p_value)
    same = matrix(np.random.default_rng(3))
    assert paired_specificities(same, same).reason == IDENTICAL


def test_differences_that_do_not_vary_are_not_tested() -> None:
    by_set = paired_by_set([0.5, 0.6, 0.7, 0.1, 0.2], [0.52, 0.62, 0.72, 0.12, 0.22])
    assert by_set.difference == pytest.approx(0.02) and by_set.interval is None and isnan(by_set.p_value)
    assert by_set.reason == "all sets differ by the same amount: no variation to test against"
    same = matrix(np.random.default_rng(3))
    of_matrices = paired_specificities(same, same + torch.eye(SETS)[..., None])
    assert of_matrices.difference == pytest.approx(1) and of_matrices.reason == by_set.reason
    of_others = unpaired([0.5] * 5, [0.52] * 5)
    assert of_others.reason == "neither run varies between sets: no variation to test against"


def test_what_diverged_is_said_to_have_diverged() -> None:
    reason = "diverged: 1 of 3 values is not finite"
    assert paired_by_set([0.1, 0.2, 0.3], [0.1, inf, 0.2]).reason == reason
    assert unpaired([0.1, 0.2, 0.3], [0.1, inf, 0.2]).reason == reason
    broken = matrix(np.random.default_rng(4))
    broken[0, 1] = inf
    assert "diverged" in paired_specificities(broken, broken).reason
    assert "diverged" in unpaired_specificities(broken, broken).reason


def test_too_few_sets_are_not_tested() -> None:
    assert "two demonstration sets" in paired_by_set([0.1, nan], [0.2, 0.3]).reason
    small = matrix(np.random.default_rng(5), sets=2)
    assert isnan(paired_specificities(small, small + 1).p_value)
