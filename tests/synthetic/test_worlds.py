"""Worlds give out what they say, and the same again for the same seed."""

from typing import Any

import pytest
import torch
from torch import Generator

from demograd.synthetic import KernelRegression, LinearRegression, LinearSystem, Sequences, SineRegression
from demograd.synthetic.attention import gram

SPECTRUM = (4.0, 1.0, 0.25)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_normal_inputs_have_the_covariance_asked_for_and_tasks_its_inverse() -> None:
    world = LinearRegression(3, spectrum=SPECTRUM, rotation=0, task="inverse")
    assert torch.linalg.eigvalsh(world.covariance()).tolist() == pytest.approx(sorted(SPECTRUM))
    sequences = world.draw(100_000, 4, seeded(), dtype=torch.float64)
    flat = sequences.x.reshape(-1, 3)
    assert torch.allclose(flat.mT @ flat / len(flat), world.covariance(), atol=0.05)
    w = torch.linalg.solve(sequences.x[:, :3], sequences.y[:, :3]).squeeze(-1)
    assert torch.allclose(w.mT @ w / len(w), torch.linalg.inv(world.covariance()), atol=0.1)


def test_inputs_on_the_sphere_have_length_one_and_uniform_ones_stay_in_their_box() -> None:
    assert LinearRegression(5, inputs="sphere").draw(8, 3, seeded()).x.norm(dim=-1) == pytest.approx(torch.ones(8, 3))
    x = LinearRegression(5, inputs="uniform").draw(1000, 3, seeded(), scale=2.0).x
    assert 1.9 < x.abs().max() <= 2.0
    assert x.var() == pytest.approx(4 / 3, rel=0.05)


def test_noise_is_added_to_examples_and_query_and_sparse_tasks_have_as_many_components_as_asked() -> None:
    exact, noisy = (LinearRegression(4, noise=noise).draw(20_000, 6, seeded()) for noise in (0.0, 0.5))
    for clean, with_noise in ((exact.y, noisy.y), (exact.query_y, noisy.query_y)):
        assert (with_noise - clean).std() == pytest.approx(0.5, rel=0.03)
    sparse = LinearRegression(4, nonzero=2).draw(50, 6, seeded(), dtype=torch.float64)
    w = torch.linalg.lstsq(sparse.x, sparse.y).solution.squeeze(-1)
    assert (w.abs() > 1e-9).sum(dim=1).tolist() == [2] * 50


@pytest.mark.parametrize("kernel", ["linear", "exponential"])
def test_a_kernel_world_covaries_as_its_kernel(kernel: str) -> None:
    sequences = KernelRegression(3, kernel, noise=0.1).draw(200_000, 1, seeded(), dtype=torch.float64)
    covariance = sequences.y[:, 0, 0] * sequences.query_y[:, 0]
    expected = gram(kernel, sequences.x, sequences.query_x[:, None])[:, 0, 0]
    near = expected > expected.quantile(0.8)
    assert covariance[near].mean() == pytest.approx(float(expected[near].mean()), rel=0.03)
    itself = 1.0 if kernel == "linear" else torch.e
    assert sequences.query_y.var() == pytest.approx(itself + 0.01, rel=0.02)


def test_the_relu_kernel_is_not_positive_semidefinite() -> None:
    x = KernelRegression(3, "relu").draw(100, 8, seeded(), dtype=torch.float64).x
    assert torch.linalg.eigvalsh(gram("relu", x, x)).min() < -0.01
    assert torch.linalg.eigvalsh(gram("exponential", x, x)).min() > 0


def test_without_its_negative_eigenvalues_the_relu_kernel_gives_no_process() -> None:
    """The variance at one point is K(x, x) = 1 in a process; here it grows with the number of other points."""
    few, many = (KernelRegression(3, "relu").draw(25_000, n, seeded(), dtype=torch.float64) for n in (1, 20))
    assert torch.cat([few.y, few.query_y[:, None]], dim=1).var() == pytest.approx(1.0, rel=0.015)
    assert torch.cat([many.y, many.query_y[:, None]], dim=1).var() == pytest.approx(1.048, rel=0.01)


def test_a_sine_goes_from_minus_to_plus_its_amplitude() -> None:
    sequences = SineRegression().draw(1000, 200, seeded())
    amplitudes = sequences.y.abs().amax(dim=(1, 2))
    assert amplitudes.min() < 0.5 < 4.5 < amplitudes.max() <= 5.0
    assert sequences.x.abs().max() <= 5.0


def test_a_linear_system_keeps_its_length_but_for_noise() -> None:
    states = LinearSystem(4, noise=0.0).draw(50, 12, seeded(), dtype=torch.float64).states
    lengths = states.norm(dim=-1)
    assert torch.allclose(lengths, lengths[:, :1].expand_as(lengths))
    noisy = LinearSystem(4, noise=0.5).draw(20_000, 5, seeded())
    assert noisy.states[:, -1].square().mean() == pytest.approx(1 + 4 * 0.25, rel=0.03)


def test_a_contracting_system_neither_grows_nor_shrinks_and_one_that_starts_on_a_sphere_starts_on_it() -> None:
    states = LinearSystem(4, noise=0.6, contraction=0.8, start="sphere").draw(20_000, 6, seeded()).states
    assert torch.allclose(states[:, 0].norm(dim=-1), torch.tensor(2.0))
    assert states[:, -1].square().mean() == pytest.approx(1.0, rel=0.03)


def test_the_orthogonal_matrices_are_uniform() -> None:
    """The mean of a uniform orthogonal matrix, and of its square, is zero; a plain QR's is not."""
    states = LinearSystem(2, noise=0.0).draw(40_000, 2, seeded(), dtype=torch.float64).states
    w_first_column = torch.einsum("si,sj->ij", states[:, 1], states[:, 0]) / 40_000
    assert w_first_column.abs().max() < 0.03


@pytest.mark.parametrize(
    "world",
    [LinearRegression(3), KernelRegression(3, "relu"), SineRegression(), LinearRegression(2, nonzero=1, noise=1.0)],
)
def test_the_same_seed_draws_the_same_problems(world: LinearRegression) -> None:
    first, same, other = (world.draw(5, 4, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(same).values(), strict=True))
    assert not torch.equal(first.x, other.x)
    assert isinstance(first, Sequences)


def test_impossible_worlds_are_refused() -> None:
    for wrong in ({"spectrum": (1.0,)}, {"rotation": 1}, {"nonzero": 4}, {"inputs": "sphere", "spectrum": SPECTRUM}):
        with pytest.raises(ValueError):
            LinearRegression(3, **wrong)


def test_released_and_published_ranges_of_von_oswald_can_both_be_had() -> None:
    """Inputs U(−1, 1) in the text and U(−½, ½) in the code; amplitudes to 5 in the text and to 0.5 in the code."""
    published, released = (
        LinearRegression(5, inputs="uniform", half_width=h).draw(1000, 3, seeded()) for h in (1.0, 0.5)
    )
    assert torch.equal(released.x, published.x / 2) and 0.49 < released.x.abs().max() <= 0.5
    sines = [SineRegression(largest_amplitude=most).draw(1000, 50, seeded()) for most in (5.0, 0.5)]
    largest, smallest = (
        [extreme(sine.y.abs().amax(dim=1)).item() for sine in sines] for extreme in (torch.amax, torch.amin)
    )
    assert largest == pytest.approx([5, 0.5], rel=0.01) and min(smallest) > 0.05
    assert SineRegression().largest_amplitude == 5 and LinearRegression(5, inputs="uniform").half_width == 1


@pytest.mark.parametrize("half_width, inputs", [(0.5, "normal"), (0.5, "sphere"), (0.0, "uniform"), (-1.0, "uniform")])
def test_a_half_width_is_that_of_uniform_inputs(half_width: float, inputs: Any) -> None:
    with pytest.raises(ValueError, match="half width"):
        LinearRegression(5, inputs=inputs, half_width=half_width)


def test_amplitudes_go_up() -> None:
    with pytest.raises(ValueError, match="amplitudes from 1 to"):
        SineRegression(smallest_amplitude=1.0, largest_amplitude=0.5)
