"""Problems unlike those of training, and a layer that is applied again and again."""

from dataclasses import replace

import pytest
import torch
from tests.synthetic.problems import EYE, PROBLEMS
from torch import Generator, Tensor

from demograd.synthetic import (
    AttentionLayer,
    Descent,
    LinearRegression,
    Sequences,
    as_tokens,
    attended,
    preconditioned_layer,
    predictions,
    repeated,
)

WORLD = LinearRegression(4, inputs="uniform", half_width=0.5)


def draw(world: LinearRegression, sequences: int = 4000, context: int = 6, scale: float = 1.0) -> Sequences:
    return world.draw(sequences, context, Generator().manual_seed(0), scale=scale, dtype=torch.float64)


def test_a_factor_of_w_is_a_factor_of_every_y() -> None:
    plain, larger = draw(WORLD), draw(replace(WORLD, task_scale=3.0))
    assert torch.equal(larger.x, plain.x)
    assert torch.allclose(larger.y, 3 * plain.y) and torch.allclose(larger.query_y, 3 * plain.query_y)


def test_distractors_say_nothing_about_w_and_are_never_the_query() -> None:
    plain, distracted = draw(WORLD), draw(replace(WORLD, distractors=2))
    changed = distracted.y != plain.y
    assert torch.equal(distracted.x, plain.x) and torch.equal(distracted.query_y, plain.query_y)
    assert changed.sum(dim=(1, 2)).tolist() == [2] * 4000
    assert changed.double().mean(dim=0).flatten() == pytest.approx(torch.full((6,), 1 / 3).double(), abs=0.03)
    others = distracted.y[changed]
    assert others.std() == pytest.approx(1.0, rel=0.03) and others.mean() == pytest.approx(0.0, abs=0.03)
    assert abs(torch.corrcoef(torch.stack([others, plain.y[changed]]))[0, 1]) < 0.03
    assert (draw(replace(WORLD, distractors=6)).y != plain.y).all()


@pytest.mark.parametrize(
    ("law", "mean", "kurtosis"),
    [("exponential", 1 / 2**0.5, 9.0), ("laplace", 0.0, 6.0), ("normal", 0.0, 3.0), ("uniform", 0.0, 1.8)],
)
def test_every_law_of_inputs_is_as_large_as_it_says(law: str, mean: float, kurtosis: float) -> None:
    world = LinearRegression(4, inputs=law)  # type: ignore[arg-type]
    x = draw(world, 60_000).x
    assert x.square().mean().sqrt() == pytest.approx(world.root_mean_square, rel=0.01)
    assert x.mean() == pytest.approx(mean * world.root_mean_square, abs=0.01)
    centred = x - x.mean()
    assert centred.pow(4).mean() / centred.square().mean() ** 2 == pytest.approx(kurtosis, rel=0.1)


def test_a_spectrum_and_a_sphere_are_as_large_as_they_say() -> None:
    for world in (LinearRegression(4, spectrum=(4.0, 1.0, 0.5, 0.5), rotation=1), LinearRegression(4, inputs="sphere")):
        assert draw(world, 20_000).x.square().mean().sqrt() == pytest.approx(world.root_mean_square, rel=0.01)


def gradient_descent(problems: Sequences, rate: float, times: int, start: Tensor) -> list[Tensor]:
    """Predictions after each step of ½N⁻¹ Σ‖w x_i − y_i‖², with the gradient that autograd finds."""
    w, predicted = start, []
    for _ in range(times):
        w = w.detach().requires_grad_()
        loss = 0.5 * (problems.x @ w.mT - problems.y).square().sum(dim=-1).mean(dim=1).sum()
        w = w - rate * torch.autograd.grad(loss, w)[0]
        predicted.append((w @ problems.query_x[..., None]).squeeze(-1).detach())
    return predicted


def test_the_layer_of_a_gd_step_repeated_is_gd_with_the_dampened_rate() -> None:
    layer = preconditioned_layer(0.4 * EYE, PROBLEMS.context)
    start = torch.zeros(len(PROBLEMS.x), 1, 4, dtype=torch.float64)
    rolled = list(repeated(as_tokens(PROBLEMS), layer, 5, 0.75))
    for after, gd in zip(rolled, gradient_descent(PROBLEMS, 0.75 * 0.4, 5, start), strict=True):
        assert torch.allclose(after, gd)
    descent = Descent(0.3 * EYE.expand(5, -1, -1), 0 * EYE.expand(5, -1, -1), PROBLEMS.context)
    assert torch.allclose(rolled[-1], descent(PROBLEMS))
    undampened = [*repeated(as_tokens(PROBLEMS), layer, 5)]
    assert not torch.allclose(undampened[0], rolled[0], rtol=1e-3)


@pytest.mark.parametrize("wrong", ["sign", "transpose", "start"])
def test_a_wrong_sign_transpose_or_start_of_the_repeated_layer_is_seen(wrong: str) -> None:
    step = torch.linspace(0.1, 0.4, 16, dtype=torch.float64).reshape(4, 4)
    layer, tokens = preconditioned_layer(step, PROBLEMS.context), as_tokens(PROBLEMS)
    right = list(repeated(tokens, layer, 3, 0.5))
    if wrong == "sign":
        layer = AttentionLayer(layer.key, layer.query, -layer.value, layer.projection)
    elif wrong == "transpose":
        layer = AttentionLayer(layer.key, layer.query.mT, layer.value, layer.projection)
    else:
        tokens = as_tokens(PROBLEMS, PROBLEMS.query_y)
    for after, other in zip(right, repeated(tokens, layer, 3, 0.5), strict=True):
        assert (after - other).abs().max() > 1e-2


def test_what_a_layer_does_to_x_is_no_part_of_its_repetition() -> None:
    step = preconditioned_layer(0.4 * EYE, PROBLEMS.context)
    moves_x = preconditioned_layer(0.4 * EYE, PROBLEMS.context, curvature=0.5 * EYE)
    tokens = as_tokens(PROBLEMS)
    for after, other in zip(repeated(tokens, step, 4, 0.75), repeated(tokens, moves_x, 4, 0.75), strict=True):
        assert torch.equal(after, other)
    whole = attended(attended(tokens, moves_x), moves_x)
    assert not torch.allclose(predictions(whole), [*repeated(tokens, moves_x, 2)][-1], rtol=1e-3)
