"""Facts about the checks of resolution, of the size of updates and of the number of seeds."""

import math

import numpy as np
import pytest
import torch

from demograd import metrics

NAN = float("nan")


def test_the_resolution_check_names_the_layers_where_nothing_is_left() -> None:
    scores = torch.zeros(4, 3, 2)
    scores[:, 0], scores[0, 1] = NAN, NAN
    check = metrics.check_resolution([scores, scores])
    assert check.passed
    assert check.missing_per_layer == pytest.approx((1, 0.25, 0))
    assert check.message == "41.7 % of the values are below resolution or not finite; none is left at layer 0"
    scores[:, 1] = NAN
    assert not metrics.check_resolution([scores]).passed


def test_four_seeds_are_too_few() -> None:
    assert not metrics.check_seeds(4).passed
    assert metrics.check_seeds(5).passed and "too few for one about specificity" in metrics.check_seeds(6).message
    assert "and one about specificity (at least 7)" in metrics.check_seeds(7).message


def test_a_run_that_blew_up_without_reaching_infinity_is_not_passed() -> None:
    """One set of three does not move the median, which is 3; one of 2e27 is past what can be compared."""
    sane = torch.tensor([[1.0, NAN], [3.0, 4.0]])
    ratios = [sane, sane, torch.tensor([[1e28, NAN], [NAN, NAN]])]
    assert metrics.check_update_size(ratios).median == pytest.approx(3)
    assert metrics.check_update_size(ratios).passed
    wrecked = metrics.check_update_size([torch.full((4, 2), 2e27)])
    assert not wrecked.passed
    assert "2e+27 times" in wrecked.message and "choose a smaller learning rate" in wrecked.message
    idle = metrics.check_update_size([torch.full((4, 2), 1e-4)])
    assert not idle.passed and "choose a larger learning rate" in idle.message


def test_without_any_update_no_size_is_known() -> None:
    assert "compare what is predicted" in metrics.check_update_size([torch.zeros(4, 2)]).message
    check = metrics.check_update_size([torch.full((4, 2), NAN)])
    assert not check.passed and np.isnan(check.median)
    assert "not known" in check.message


def test_the_size_of_updates_is_that_of_the_layers_that_change() -> None:
    """The first layer is left as it is; in the second a method hardly moves anything, and that counts."""
    hardly = torch.zeros(50, 1)
    hardly[0] = 0.05
    ratios = [torch.cat([torch.zeros(50, 1), torch.full((50, 1), 3.0)], dim=1)] * 2
    assert metrics.median_size_ratio(ratios) == 3.0 and metrics.check_update_size(ratios).passed
    moved = [torch.cat([torch.zeros(50, 1), hardly], dim=1)] * 2
    assert metrics.median_size_ratio(moved) == 0.0 and not metrics.check_update_size(moved).passed
    assert metrics.median_size_ratio([torch.zeros(4, 2)]) == 0.0


def test_layers_are_chosen_set_by_set() -> None:
    """Each set changes another layer: a layer that a set leaves as it is is no size of its updates."""
    sizes = [torch.eye(4)[layer].expand(6, 4) * (2.0 + layer) for layer in range(3)]
    assert metrics.median_size_ratio(sizes) == 3.0 and metrics.check_update_size(sizes).passed


def test_each_set_counts_once_however_many_layers_it_changes() -> None:
    one_layer, all_layers = torch.zeros(6, 30), torch.ones(6, 30)
    one_layer[:, -1] = 500.0
    assert metrics.median_size_ratio([*[one_layer] * 7, all_layers]) == 500.0


@pytest.mark.parametrize("n_changed", [1, 2, 4])
def test_sets_that_change_nothing_count_like_those_that_do(n_changed: int) -> None:
    """However many layers the others change; what is missing stays missing."""
    changed, unchanged = torch.zeros(6, 4), torch.zeros(6, 4)
    changed[:, :n_changed], unchanged[0], unchanged[1, 0] = 3.0, NAN, NAN
    assert metrics.median_size_ratio([changed, *[unchanged] * 7]) == 0.0
    assert metrics.median_size_ratio([*[changed] * 7, unchanged]) == 3.0
    nothing = torch.full((6, 4), NAN)
    assert metrics.median_size_ratio([changed, *[nothing] * 7]) == 3.0
    assert metrics.median_size_ratio([unchanged, nothing]) == 0.0


def test_missing_sizes_have_no_median() -> None:
    assert math.isnan(metrics.median_size_ratio([torch.full((4, 2), math.nan)]))
