"""Facts about scores at equal size of the updates."""

import pytest
import torch

from demograd import statistics

NAN = float("nan")


def curve(*sizes: float) -> torch.Tensor:
    """The curve of one demonstration set."""
    return torch.tensor(sizes, dtype=torch.float64)[:, None]


def test_between_rates_a_score_is_linear_in_the_logarithm_of_the_size() -> None:
    """From 0.1 to 10 are two decades: size 1 is half of the way, √10 three quarters."""
    sizes, scores = curve(0.1, 10), torch.tensor([[[0.0, 4.0]], [[1.0, 0.0]]])
    assert statistics.at_equal_size(sizes, scores, 1.0).flatten().tolist() == pytest.approx([0.5, 2])
    assert statistics.at_equal_size(sizes, scores, 10**0.5).flatten().tolist() == pytest.approx([0.75, 1])
    assert statistics.at_equal_size(sizes, scores, 10.0).flatten().tolist() == [1, 0]


def test_each_demonstration_set_is_read_at_its_own_sizes_and_keeps_queries_and_layers() -> None:
    sizes = torch.tensor([[0.1, 1.0], [10.0, 100.0]])
    scores = torch.stack([torch.zeros(2, 5, 3), torch.ones(2, 5, 3)])
    at = statistics.at_equal_size(sizes, scores, 1.0)
    assert at.shape == (2, 5, 3)
    assert at[:, 0, 0].tolist() == pytest.approx([0.5, 0])


def test_sizes_that_were_not_reached_are_missing_not_guessed() -> None:
    sizes, scores = torch.tensor([[0.1, 0.1], [1.0, 0.5]]), torch.ones(2, 2, 3)
    at = statistics.at_equal_size(sizes, scores, 0.8)
    assert at.isnan().all(dim=1).tolist() == [False, True]
    assert statistics.over_seeds(at.nanmean(dim=1).tolist()).n_missing == 1
    assert statistics.at_equal_size(sizes, scores, 0.05).isnan().all()


def test_where_sizes_fall_again_the_first_crossing_counts() -> None:
    sizes, scores = curve(0.1, 10, 0.1), torch.tensor([0.0, 1.0, 4.0])[:, None, None]
    assert statistics.at_equal_size(sizes, scores, 1.0).item() == pytest.approx(0.5)
    assert statistics.at_equal_size(sizes, scores, 0.1).item() == 0


@pytest.mark.parametrize("gap", [NAN, float("inf"), 0.0])
def test_a_rate_that_diverged_is_not_bridged(gap: float) -> None:
    sizes, scores = curve(0.1, gap, 10, 100), torch.tensor([0.0, 7.0, 1.0, 2.0])[:, None, None]
    assert statistics.at_equal_size(sizes, scores, 1.0).isnan().all()
    assert statistics.at_equal_size(sizes, scores, 1000**0.5).item() == pytest.approx(1.5)


def test_the_mean_over_sizes_by_hand() -> None:
    """The score goes from 0 to 1 in the decade below 1, then to 4 in that above: (½ + 2½) / 2. From 1 to √10: 1¾."""
    sizes, scores = curve(0.1, 1, 10), torch.tensor([0.0, 1.0, 4.0])[:, None, None]
    assert statistics.mean_over_sizes(sizes, scores, *statistics.common_sizes([sizes])).item() == pytest.approx(1.5)
    assert statistics.mean_over_sizes(sizes, scores, 1.0, 10**0.5).item() == pytest.approx(1.75)
    assert statistics.mean_over_sizes(sizes, scores, 0.01, 1.0).isnan().all()


def test_common_sizes_are_those_of_every_method_and_set() -> None:
    gd = torch.tensor([[0.1, 0.25], [3.0, 5.0], [NAN, 9.0]])
    lcgd = torch.tensor([[0.05, 0.01], [20.0, 4.0]])
    assert statistics.common_sizes([gd, lcgd]) == (0.25, 3)
    assert all(size != size for size in statistics.common_sizes([gd, torch.tensor([[4.0, 4.0], [8.0, 8.0]])]))


def test_common_sizes_that_float32_cannot_hold_exactly_can_still_be_read() -> None:
    random = torch.Generator().manual_seed(0)
    sizes = torch.rand(6, 5, generator=random).cumsum(dim=0)
    low, high = statistics.common_sizes([sizes])
    assert not statistics.at_equal_size(sizes, torch.rand(6, 5, 2), low).isnan().any()
    assert not statistics.mean_over_sizes(sizes, torch.rand(6, 5, 2), low, high).isnan().any()


def test_sizes_are_ratios_above_zero() -> None:
    with pytest.raises(ValueError, match="above zero"):
        statistics.at_equal_size(curve(1, 2), torch.ones(2, 1, 1), 0.0)
    with pytest.raises(ValueError, match="from 2 to 1"):
        statistics.mean_over_sizes(curve(1, 2), torch.ones(2, 1, 1), 2.0, 1.0)
