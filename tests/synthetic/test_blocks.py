"""Networks of which A and B alone are free, and how far these are from multiples of Σ⁻¹ and of I (Ahn 2023)."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searches import examples
from torch import Generator, Tensor
from torch.func import functional_call

from demograd.synthetic import (
    Architecture,
    Descent,
    LinearRegression,
    SmallTransformer,
    distance_from_multiples,
    in_use,
    learned_blocks,
    preconditioned_layer,
)

SIGMA = LinearRegression(3, spectrum=(2.0, 0.5, 0.1), rotation=0).covariance()
PROBLEMS = LinearRegression(3).draw(16, 6, Generator().manual_seed(0), dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("free", ["A", "A and B"])
def test_a_network_of_free_blocks_is_the_descent_with_these_matrices(free: str) -> None:
    network = SmallTransformer(Architecture(layers=3, free=free), 4, 0).double()
    a, b = (0.3 * normal(3, 3, 3, seed=seed) for seed in (1, 2))
    weights = {"preconditioner": a[:, None] / 6, "curvature": b[:, None]}
    own = {name: weights[name] for name, _ in network.named_parameters()}
    predicted = functional_call(network, own, (PROBLEMS,))
    curvature = b if free == "A and B" else torch.zeros_like(b)
    assert len(own) == (2 if free == "A and B" else 1)
    assert (predicted - Descent(a, curvature, 6)(PROBLEMS)).abs().max() < 1e-10
    assert (predicted - Descent(a.mT, curvature, 6)(PROBLEMS)).abs().max() > 1e-3
    assert (predicted - Descent(a, -b, 6)(PROBLEMS)).abs().max() > 1e-3


def test_a_and_b_are_read_off_a_construction() -> None:
    a, b = normal(3, 3, seed=1), normal(3, 3, seed=2)
    read_a, read_b = learned_blocks(preconditioned_layer(a, 6, curvature=b))
    assert torch.allclose(read_a, a) and torch.allclose(read_b, b / 6)


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 2**30), size=st.integers(1, 6), scale=st.floats(-5, 5).filter(lambda c: abs(c) > 0.01))
def test_the_distance_is_that_of_the_nearest_multiple_whatever_the_scale(seed: int, size: int, scale: float) -> None:
    matrix, everything = normal(size, size, seed=seed), torch.eye(size, dtype=torch.float64)
    c = torch.linalg.lstsq(everything.reshape(-1, 1), matrix.reshape(-1, 1)).solution.item()
    distance = distance_from_multiples(matrix)
    assert distance == pytest.approx(float((matrix - c * everything).norm() / matrix.norm()), abs=1e-9)
    assert distance_from_multiples(scale * matrix) == pytest.approx(distance, abs=1e-9)
    turned = torch.linalg.qr(normal(size, size, seed=seed + 1)).Q
    assert distance_from_multiples(turned @ matrix @ turned.mT) == pytest.approx(distance, abs=1e-9)


def test_a_multiple_of_the_precision_has_no_distance_and_one_of_the_covariance_has() -> None:
    precision = torch.linalg.inv(SIGMA)
    assert distance_from_multiples(-0.7 * precision, precision) < 1e-10
    assert distance_from_multiples(SIGMA, precision) > 0.5
    assert distance_from_multiples(torch.eye(3).double(), precision) > 0.5


def test_the_distance_is_that_of_the_released_code() -> None:
    """There M = (UD)ᵀ A UD with Σ = U D² Uᵀ; here it is Σ^½ A Σ^½, which is that turned by U."""
    matrix, (eigenvalues, u) = normal(3, 3, seed=3), torch.linalg.eigh(SIGMA)
    ud = u @ eigenvalues.sqrt().diag()
    released = distance_from_multiples(ud.mT @ matrix @ ud)
    assert distance_from_multiples(matrix, torch.linalg.inv(SIGMA)) == pytest.approx(released, abs=1e-10)


@pytest.mark.parametrize("free", ["A", "A and B"])
@pytest.mark.parametrize("layers", [1, 3])
def test_entries_in_use_are_those_of_a_b_and_the_one_of_y(free: str, layers: int) -> None:
    for n, (qk, pv) in enumerate(in_use(layers, 2, free=free)):
        has_b = free == "A and B" and n < layers - 1
        assert qk.tolist() == [[True, True, False], [True, True, False], [False] * 3]
        assert pv.tolist() == [[has_b, has_b, False], [has_b, has_b, False], [False, False, True]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"free": "A", "by_inputs": True}, "by_inputs"),
        ({"free": "A", "extra": 2}, "no room"),
        ({"free": "A and B", "features": 4}, "A and B alone is free"),
        ({"free": "A", "features": 4, "descent": True}, "A alone is free"),
        ({"free": "A", "positions": 4, "layers": 2}, "A alone is free"),
        ({"extra": 2, "features": 4}, "extra components"),
        ({"extra": 2, "positions": 4, "layers": 2}, "extra components"),
        ({"attention": "mesa", "features": 4, "descent": True}, "descent is one head of linear attention"),
        ({"features": 4, "descent": True, "first": "softmax"}, "linear attention in every layer"),
        ({"attention": "mesa", "first": "softmax"}, "mesa-layers"),
        ({"positions": 4}, "two layers"),
    ],
)
def test_an_architecture_that_contradicts_itself_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Architecture(**settings)
