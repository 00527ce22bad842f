"""Deep features before attention, and the network that is a GD step on them (von Oswald 2023a, Figure 4)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from demograd.synthetic import Architecture, Sequences, SineRegression, SmallTransformer, seeded

FEATURES, CONTEXT = 5, 6
PROBLEMS = SineRegression().draw(20, CONTEXT, seeded("test", 0), dtype=torch.float64)


def network(*, descent: bool, layers: int = 1) -> SmallTransformer:
    architecture = Architecture(layers=layers, features=FEATURES, descent=descent, initial_scale=0.3)
    return SmallTransformer(architecture, FEATURES + 1, 0).double().requires_grad_(False)


def descended(learner: SmallTransformer, problems: Sequences, rates: list[float]) -> Tensor:
    """Steps of ½ Σ‖w φ(x_i) − y_i‖² on the head alone, from w = 0, with the gradient that autograd finds."""
    x, query = learner.featured(problems.x), learner.featured(problems.query_x)
    w = torch.zeros(len(x), 1, FEATURES, dtype=torch.float64)
    for rate in rates:
        w = w.detach().requires_grad_()
        loss = 0.5 * (x @ w.mT - problems.y).square().sum()
        w = w - rate * torch.autograd.grad(loss, w)[0]
    return (w @ query[..., None]).squeeze(-1).detach()


def test_the_network_of_gd_steps_is_gradient_descent_of_the_head_on_its_features() -> None:
    step, steps = network(descent=True), network(descent=True, layers=2)
    steps.rate[1] = 0.1
    assert torch.allclose(step(PROBLEMS), descended(step, PROBLEMS, [0.3]))
    assert torch.allclose(steps(PROBLEMS), descended(steps, PROBLEMS, [0.3, 0.1]))
    assert dict(step.named_parameters()).keys() == {"rate", "into_features", "into_bias", "out_of_features"}


def flipped_rate(learner: SmallTransformer) -> None:
    learner.rate *= -1


def flipped_features(learner: SmallTransformer) -> None:
    learner.into_features *= -1


def other_start(learner: SmallTransformer) -> None:
    learner.tokens = lambda problems: SmallTransformer.tokens(learner, problems) + 0.5  # type: ignore[method-assign]


@pytest.mark.parametrize("wrong", [flipped_rate, flipped_features, other_start])
def test_a_wrong_sign_or_start_is_no_such_step(wrong: Callable[[SmallTransformer], None]) -> None:
    right = descended(network(descent=True), PROBLEMS, [0.3])
    changed = network(descent=True)
    wrong(changed)
    assert (changed(PROBLEMS) - right).abs().max() > 1e-2


def test_features_are_made_of_x_alone_and_attention_on_them_is_free() -> None:
    free = network(descent=False)
    tokens = free.tokens(PROBLEMS)
    assert torch.equal(tokens[:, :-1, -1:], PROBLEMS.y) and not tokens[:, -1, -1].any()
    assert torch.equal(tokens[:, :-1, :-1], free.featured(PROBLEMS.x)) and tokens.shape[-1] == FEATURES + 1
    assert free.key.shape == (1, 1, FEATURES + 1, FEATURES + 1)
