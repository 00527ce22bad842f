"""Every construction does what its theorem says, on random sizes, in float64; a wrong matrix is seen to be wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searches import examples
from torch import Generator, Tensor

from demograd.synthetic import (
    CONSTRUCTIONS,
    AttentionLayer,
    Sequences,
    Trajectories,
    as_tokens,
    attended_causally,
    functional_descent,
    mesa_predictions,
    predictions,
    run_layers,
)
from demograd.synthetic.constructions import (
    best_preconditioner,
    expected_loss,
    functional_descent_error,
    functional_descent_layers,
    gd_plus_plus_error,
    gd_plus_plus_layers,
    gradient_descent_error,
    gradient_descent_layers,
    mesa_error,
    mesa_layers,
    preconditioned_error,
    preconditioned_layer,
    system_tokens,
)

EXACT, WRONG = 1e-10, 1e-3


@pytest.mark.parametrize("name", CONSTRUCTIONS)
@settings(max_examples=examples(60))
@given(seed=st.integers(0, 2**40))
def test_every_construction_does_what_its_theorem_says(name: str, seed: int) -> None:
    assert CONSTRUCTIONS[name].error(seed) < EXACT


def problems(inputs: int = 3, outputs: int = 2, context: int = 6) -> Sequences:
    generator = Generator().manual_seed(0)
    x = torch.randn(4, context + 1, inputs, generator=generator, dtype=torch.float64)
    y = torch.randn(4, context + 1, outputs, generator=generator, dtype=torch.float64)
    return Sequences(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])


W0 = torch.tensor([[0.3, -1.2, 0.5], [0.8, 0.1, -0.4]], dtype=torch.float64)
STEPS, CURVATURE = [0.3, 0.2], [0.02, 0.01]


def turned(matrix: str, change: Callable[[Tensor], Tensor]) -> Callable[[AttentionLayer], AttentionLayer]:
    return lambda layer: replace(layer, **{matrix: change(getattr(layer, matrix))})


def skewed(matrix: Tensor) -> Tensor:
    """Not symmetric any more, so that its transpose is another matrix."""
    return matrix + 0.1 * torch.ones_like(matrix).triu(1)


def test_a_construction_that_gives_nan_is_not_exact() -> None:
    broken = [
        turned("value", lambda value: value * torch.nan)(layer) for layer in gradient_descent_layers(STEPS, 6, W0)
    ]
    assert not gradient_descent_error(broken, problems(), STEPS, W0) < EXACT


def test_the_query_is_no_key() -> None:
    """Else its own y = −W₀x would enter the step."""
    layer, tokens = gradient_descent_layers([0.3], 6, W0)[0], as_tokens(problems())
    moved = (layer.projection[0] @ layer.value[0]).mT
    all_keys = tokens + tokens @ (layer.query[0].mT @ layer.key[0]) @ tokens.mT @ tokens @ moved
    assert (all_keys - run_layers(tokens, [layer])).abs().max() > WRONG


def test_gd_plus_plus_is_not_gd() -> None:
    assert gd_plus_plus_error(gd_plus_plus_layers(STEPS, [0.0, 0.0], 6, 3, 2), problems(), STEPS, CURVATURE) > WRONG


COVARIANCE = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 0.7]], dtype=torch.float64)


@pytest.mark.parametrize("task", ["identity", "inverse"])
def test_another_preconditioner_than_ahns_is_worse_on_average_and_seen_to_be(task: str) -> None:
    best = best_preconditioner(COVARIANCE, 6, task)
    least = expected_loss(best, COVARIANCE, 6, task)
    assert preconditioned_error(preconditioned_layer(best, 6, 2), problems(), COVARIANCE, task) < EXACT
    for other in (torch.linalg.inv(COVARIANCE), -best, skewed(best), 1.01 * best):
        assert expected_loss(other, COVARIANCE, 6, task) > least
        assert preconditioned_error(preconditioned_layer(other, 6, 2), problems(), COVARIANCE, task) > WRONG


@pytest.mark.parametrize("task", ["identity", "inverse"])
def test_the_expected_loss_is_the_mean_over_drawn_problems(task: str) -> None:
    """Monte Carlo over 200,000 problems; the closed form is exact, so only sampling error is between them."""
    generator, root = Generator().manual_seed(0), torch.linalg.cholesky(COVARIANCE)
    x = torch.randn(200_000, 7, 3, generator=generator, dtype=torch.float64) @ root.mT
    w = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    if task == "inverse":
        w = w @ torch.linalg.inv(root)
    y = torch.einsum("sni,si->sn", x, w)[..., None]
    a = skewed(best_preconditioner(COVARIANCE, 6, task))
    sequences = Sequences(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])
    predicted = predictions(run_layers(as_tokens(sequences), [preconditioned_layer(a, 6)]))
    assert (predicted - sequences.query_y).square().mean() == pytest.approx(
        float(expected_loss(a, COVARIANCE, 6, task)), rel=0.02
    )


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
def test_attention_of_one_kind_is_no_functional_gd_of_another(kind: str) -> None:
    layers, sequences = functional_descent_layers([0.05, 0.03], 3, 2), problems()
    predicted = predictions(run_layers(as_tokens(sequences), layers, kind), outputs=2)
    for other in ("linear", "relu", "exponential", "softmax"):
        off = (predicted - functional_descent(sequences, [0.05, 0.03], other)).abs().max()
        assert off < EXACT if kind == other else off > WRONG


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
def test_a_bandwidth_is_a_factor_of_the_step_size_for_linear_and_relu_attention_alone(kind: str) -> None:
    layers = functional_descent_layers([0.05, 0.03], 3, 2, bandwidth=1.5)
    sequences = Sequences(*(points / points.norm(dim=-1, keepdim=True) for points in vars(problems()).values()))
    predicted = predictions(run_layers(as_tokens(sequences), layers, kind), outputs=2)
    assert (predicted - functional_descent(sequences, [0.05, 0.03], kind, bandwidth=1.5)).abs().max() < EXACT
    assert functional_descent_error(layers, sequences, [0.05, 0.03], kind) > WRONG
    off = (predicted - functional_descent(sequences, [0.075, 0.045], kind)).abs().max()
    assert off < EXACT if kind in ("linear", "relu") else off > WRONG


def test_the_mesa_optimiser_with_its_heads_swapped_is_wrong_and_without_attention_it_is_the_same() -> None:
    trajectories = Trajectories(torch.randn(2, 6, 3, generator=Generator().manual_seed(0), dtype=torch.float64))
    layers, tokens = mesa_layers(STEPS, [0.2, 0.1], 3), system_tokens(trajectories.states)
    swapped = turned("value", lambda value: value.flip(0))
    assert mesa_error([swapped(layer) for layer in layers], trajectories, STEPS, [0.2, 0.1]) > WRONG
    for layer in layers:
        tokens = attended_causally(tokens, layer)
    assert (mesa_predictions(trajectories, STEPS, [0.2, 0.1]) - tokens[..., :3]).abs().max() < EXACT
