"""The mesa-layer is regularised least squares: of a system's states so far, and of a problem's examples."""

from pathlib import Path

import pytest
import torch
from tests.synthetic.problems import EYE, PROBLEMS
from torch import Generator
from torch.func import functional_call

from demograd.synthetic import (
    Architecture,
    LinearSystem,
    SmallTransformer,
    TrainingRecipe,
    attended_causally,
    mean_loss,
    mesa_layer,
    regularised_least_squares,
    ridge,
    seeded,
    train,
)
from demograd.synthetic.constructions import mesa_layer_error, system_tokens

TRAJECTORIES = LinearSystem(3).draw(4, 9, Generator().manual_seed(0), dtype=torch.float64)


def test_on_the_states_of_a_system_it_is_the_reference() -> None:
    tokens = attended_causally(system_tokens(TRAJECTORIES.states), mesa_layer(0.2, 3))
    assert torch.allclose(tokens[..., :3], regularised_least_squares(TRAJECTORIES, 0.2))
    assert torch.equal(tokens[..., 3:], system_tokens(TRAJECTORIES.states)[..., 3:])


def test_another_penalty_is_seen() -> None:
    assert mesa_layer_error(mesa_layer(0.2, 3), TRAJECTORIES, 0.2) < 1e-10
    assert mesa_layer_error(mesa_layer(0.2, 3), TRAJECTORIES, 0.25) > 1e-3


def test_on_the_examples_of_a_problem_it_is_ridge() -> None:
    network = SmallTransformer(Architecture("mesa"), 5, 0).double()
    is_x = torch.tensor([1.0, 1, 1, 1, 0]).double().diag()
    weights = {"key": is_x, "query": is_x, "value": torch.eye(5).double() - is_x, "projection": -torch.eye(5).double()}
    penalty = {"log_penalty": torch.tensor([[0.3]], dtype=torch.float64).log()}
    predicted = functional_call(
        network, {**{name: weight[None, None] for name, weight in weights.items()}, **penalty}, (PROBLEMS,)
    )
    assert torch.allclose(predicted, ridge(PROBLEMS, 0.3 * EYE))


def test_it_does_not_look_ahead() -> None:
    network, tokens = SmallTransformer(Architecture("mesa", heads=2), 12, 0).double(), TRAJECTORIES.states
    [layer] = network.layers()
    later = system_tokens(tokens).clone()
    later[:, 5:] += 1.0
    before, after = (attended_causally(states, layer)[:, :5] for states in (system_tokens(tokens), later))
    assert torch.allclose(before, after)


def test_its_penalty_is_trained_and_kept_in_checkpoints(tmp_path: Path) -> None:
    world, recipe = LinearSystem(2, start="sphere"), TrainingRecipe(steps=60, batch=64, warmup=5, checkpoint_every=30)
    network = SmallTransformer(Architecture("mesa", initial_scale=0.3), 8, 0)
    losses = train(network, world, 8, recipe, 0, tmp_path / "checkpoint.safetensors")
    assert losses[-10:].mean() < 0.9 * losses[:3].mean()
    assert network.log_penalty.item() != 0.0
    test = world.draw(64, 8, seeded("test", 0))
    assert mean_loss(network(test), test).isfinite()


@pytest.mark.parametrize("free", ["A", "A and B"])
def test_free_blocks_of_a_mesa_layer_are_refused(free: str) -> None:
    with pytest.raises(ValueError, match="mesa-layer"):
        Architecture("mesa", free=free)
