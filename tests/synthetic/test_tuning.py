"""Tuning ends at a minimum, or says that it has not, and what is tuned to its sample is seen to be."""

import pytest
import torch
from tests.synthetic.problems import draw
from torch import Generator

from demograd.synthetic import (
    HeldOut,
    LinearRegression,
    NotConverged,
    best_descent,
    held_out,
    squared_error,
)
from demograd.synthetic.tuning import minimise


def curved_valley(at: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's: errors 10 (b − a²) and 1 − a vanish at (1, 1)."""
    return torch.stack([10 * (at[1] - at[0] ** 2), 1 - at[0]])


IN_THE_VALLEY = torch.tensor([-1.2, 1.0], dtype=torch.float64)


def test_tuning_finds_the_bottom_of_a_curved_valley_and_says_when_it_has_not() -> None:
    minimum = minimise([curved_valley], IN_THE_VALLEY)
    assert minimum.converged().tolist() == pytest.approx([1.0, 1.0])
    assert minimum.loss < 1e-12
    with pytest.raises(NotConverged, match="ran out"):
        minimise([curved_valley], IN_THE_VALLEY, iterations=5).converged()
    with pytest.raises(NotConverged, match="is inf where tuning begins"):
        minimise([lambda at: curved_valley(at) / 0], IN_THE_VALLEY).converged()


def test_iterations_that_run_out_on_steps_which_gain_little_are_no_convergence() -> None:
    """Far out on an arctangent the full step leads farther out still, so that steps are damped; a constant error dwarfs
    what they gain."""

    def errors(at: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(at, 1e4), torch.atan(5 * at)])

    start = torch.tensor([10.0], dtype=torch.float64)
    few = minimise([errors], start, iterations=1)
    assert 0 < few.gain < 1e-6 and not few.done
    with pytest.raises(NotConverged):
        few.converged()
    assert minimise([errors], start).converged().item() == pytest.approx(0.0, abs=0.1)


def test_errors_in_batches_have_the_minimum_of_all_of_them_at_once() -> None:
    a, b = torch.randn(30, 3, generator=Generator().manual_seed(0)).double().split([2, 1], dim=1)
    start = torch.zeros(2, dtype=torch.float64)
    batches = [lambda at, a=a, b=b: a @ at - b[:, 0] for a, b in zip(a.split(7), b.split(7), strict=True)]
    parameters = minimise(batches, start).converged()
    assert torch.allclose(parameters, torch.linalg.lstsq(a, b).solution[:, 0], atol=1e-6)


def test_what_is_tuned_on_few_problems_is_seen_to_be_worse_on_fresh_ones() -> None:
    world = LinearRegression(3, inputs="sphere")  # no tails: what is learned of many problems holds for others
    fresh = draw(world, 20_000, 10, seed=9)

    def checked(sequences: int) -> HeldOut:
        problems = draw(world, sequences, 10, seed=8)
        best = best_descent(2, problems, preconditioned=True, curved=False)
        return held_out(*(squared_error(best(on), on.query_y) for on in (problems, fresh)))

    few, many = checked(60), checked(20_000)
    assert few.is_higher and few.excess > 0.3
    assert not many.is_higher and abs(many.excess) < 0.05
    assert many.held_out_loss < few.held_out_loss


def test_a_held_out_loss_is_higher_where_its_interval_says_so() -> None:
    tuning, fresh = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0])
    comparison = held_out(tuning, fresh)
    # means 2 and 3; each mean has variance 2 / 2, so their difference has √2, of 2
    assert (comparison.excess, comparison.standard_error) == pytest.approx((0.5, 2**0.5 / 2))
    assert not comparison.is_higher
    # 4 % higher with a standard error of 2 % may be by chance; thrice as high with one of the same size is not
    assert not HeldOut(1.0, 1.04, 0.019).is_higher and HeldOut(1.0, 1.06, 0.019).is_higher
    assert not HeldOut(1.0, 1.4, 0.3).is_higher and HeldOut(1.0, 3.1, 1.3).is_higher
    assert held_out(tuning.repeat(100), fresh.repeat(100)).is_higher
    assert not held_out(tuning.repeat(10_000), 1.01 * tuning.repeat(10_000)).is_higher
