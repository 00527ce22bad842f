"""Small transformers learn, go on after a stop as if there had been none, and say when they diverge."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator

from demograd.synthetic import (
    Architecture,
    AttentionLayer,
    LinearRegression,
    LinearSystem,
    SmallTransformer,
    TrainingDiverged,
    TrainingRecipe,
    Trajectories,
    as_tokens,
    attended,
    attended_causally,
    best_gradient_descent,
    compare,
    effective_preconditioner,
    interpolated,
    order_spread,
    preconditioned_layer,
    predictions,
    run_layers,
    scaled_like,
    seeded,
    squared_error,
    train,
)
from demograd.synthetic.constructions import system_tokens

WORLD = LinearRegression(3)
SHORT = TrainingRecipe(steps=40, batch=64, learning_rate=0.02, warmup=5, checkpoint_every=10)


def small(seed: int = 0, **architecture: object) -> SmallTransformer:
    return SmallTransformer(Architecture(**architecture), 4, seed)


def test_a_layer_of_linear_attention_learns_one_gd_step() -> None:
    network = small()
    losses = train(network, WORLD, 6, TrainingRecipe(steps=1500, batch=256, learning_rate=0.02), seed=0)
    test = WORLD.draw(4000, 6, seeded("test", 0))
    gd = best_gradient_descent(1, WORLD.draw(8000, 6, seeded("tuning", 0), dtype=torch.float64))
    of_gd, of_network = (float(squared_error(learner(test), test.query_y).mean().detach()) for learner in (gd, network))
    assert losses[0] > 1.5 * losses[-1]
    assert of_network == pytest.approx(of_gd, rel=0.02)
    assert compare(network, gd, test).sensitivity_cosine.nanmean() > 0.99
    # what it does is GD's step, but not in the construction's few weights: of these, 3 in 4 are zero
    weights = torch.cat([parameter.flatten() for parameter in network.parameters()])
    assert (weights.abs() < 1e-3).double().mean() < 0.1


def test_a_bound_keeps_all_tokens_within_it() -> None:
    bounded, free = (small(layers=3, bound=bound, initial_scale=0.8) for bound in (0.5, None))
    large = WORLD.draw(200, 6, seeded("test", 0), scale=5.0)
    tokens, reached = as_tokens(large), []
    for layer in bounded.layers():
        tokens = attended(tokens, layer)
        reached.append(float(tokens[:, :-1].detach().abs().max()))  # of the examples, which the next layer sees
        tokens = tokens.clamp(-0.5, 0.5)
    assert torch.allclose(bounded(large), predictions(tokens), atol=1e-6)
    assert min(reached) > 0.5  # each layer has something to hold back
    only_at_the_end = free(large).clamp(-0.5, 0.5)
    assert (bounded(large) - only_at_the_end).abs().max() > 0.1


@pytest.mark.parametrize("attention", ["linear", "relu", "exponential", "softmax"])
def test_attention_by_inputs_gives_the_examples_weights_that_do_not_depend_on_y(attention: str) -> None:
    by_inputs, by_tokens = (small(layers=1, attention=attention, by_inputs=yes) for yes in (True, False))
    problems = WORLD.draw(5, 6, seeded("test", 0))
    doubled = replace(problems, y=2 * problems.y)
    # with weights that do not depend on y, and a value that is linear in it, twice the y is twice its part of the ŷ
    none = replace(problems, y=0 * problems.y)
    for network, is_linear in ((by_inputs, True), (by_tokens, False)):
        of_y = network(problems) - network(none)
        assert torch.allclose(network(doubled) - network(none), 2 * of_y, atol=1e-6) == is_linear


@pytest.mark.parametrize("stopped_at", [10, 30])
def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, stopped_at: int) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int) -> None:
        if done == stopped_at + 3:
            raise Stopped

    whole, file = small(layers=2, mlp=5), tmp_path / "checkpoint.safetensors"
    losses = train(whole, WORLD, 6, SHORT, seed=3)
    with pytest.raises(Stopped):
        train(small(layers=2, mlp=5), WORLD, 6, SHORT, seed=3, checkpoint=file, on_step=stop)
    steps: list[int] = []
    again = small(layers=2, mlp=5)
    assert torch.equal(train(again, WORLD, 6, SHORT, seed=3, checkpoint=file, on_step=steps.append), losses)
    assert steps[0] == stopped_at + 1
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_divergence_is_said_with_its_step() -> None:
    network = small(attention="exponential", layers=3, initial_scale=30.0)
    with pytest.raises(TrainingDiverged, match=r"diverged at step \d"):
        train(network, WORLD, 6, SHORT, seed=0)


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
def test_the_last_layer_need_only_update_the_query(kind: str) -> None:
    network, problems = small(layers=2, attention=kind), WORLD.draw(8, 6, Generator().manual_seed(0))
    assert torch.allclose(network(problems), predictions(run_layers(as_tokens(problems), network.layers(), kind)))


def test_linear_attention_is_the_same_with_weights_between_tokens_written_out() -> None:
    problems, layer = WORLD.draw(8, 6, Generator().manual_seed(0)), small().layers()[0]
    tokens = as_tokens(problems)
    keys, queries = tokens[:, :-1] @ layer.key[0].mT, tokens @ layer.query[0].mT
    update = (queries @ keys.mT) @ (tokens[:, :-1] @ layer.value[0].mT) @ layer.projection[0].mT
    assert torch.allclose(attended(tokens, layer), tokens + update, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
def test_causal_attention_does_not_look_ahead(kind: str) -> None:
    trajectories = LinearSystem(2).draw(3, 8, Generator().manual_seed(0))
    layer = SmallTransformer(Architecture(heads=2), 8, 0).layers()[0]
    cut = Trajectories(trajectories.states[:, :5])
    whole, part = (attended_causally(system_tokens(system.states), layer, kind) for system in (trajectories, cut))
    assert torch.allclose(whole[:, :5], part, atol=1e-6)


def test_shared_layers_are_one_layers_weights() -> None:
    shared, separate = (small(layers=3, shared=shared) for shared in (True, False))
    assert sum(p.numel() for p in separate.parameters()) == 3 * sum(p.numel() for p in shared.parameters())
    assert torch.equal(shared.layers()[0].key, shared.layers()[2].key)


def test_interpolation_begins_at_the_network_and_ends_at_the_construction() -> None:
    network, problems = small(), WORLD.draw(20, 6, Generator().manual_seed(0))
    gd = preconditioned_layer(0.5 * torch.eye(3), 6)
    run = [
        predictions(run_layers(as_tokens(problems), [interpolated(network.layers()[0], gd, mix)])) for mix in (0.0, 1.0)
    ]
    assert torch.allclose(run[0], network(problems), atol=1e-5)
    assert torch.allclose(run[1], predictions(run_layers(as_tokens(problems), [gd])), atol=1e-5)


def test_scaling_to_compare_weights_changes_nothing_that_the_layer_does() -> None:
    gd, problems = preconditioned_layer(0.5 * torch.eye(3), 6), WORLD.draw(20, 6, Generator().manual_seed(0))
    scaled = AttentionLayer(gd.key, -7 * gd.query, gd.value, -gd.projection / 7)
    back = scaled_like(scaled, gd)
    assert torch.allclose(back.query.mT @ back.key, gd.query.mT @ gd.key)
    assert torch.allclose(attended(as_tokens(problems), back), attended(as_tokens(problems), gd), atol=1e-6)


def test_the_effective_preconditioner_is_read_off_a_construction_and_off_two_heads() -> None:
    a = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.4, 0.3], [0.0, 0.1, 0.7]])
    layer = preconditioned_layer(a, 6)
    assert torch.allclose(effective_preconditioner(layer, 6), a, atol=1e-6)
    half = AttentionLayer(*(torch.cat([m, m]) for m in (layer.key, 0.5 * layer.query, layer.value, layer.projection)))
    assert torch.allclose(effective_preconditioner(half, 6), a, atol=1e-6)


def test_sensitivities_of_opposite_learners_are_opposite() -> None:
    problems = WORLD.draw(20, 6, Generator().manual_seed(0))
    gd = best_gradient_descent(1, problems)
    comparison = compare(gd, lambda sequences: -2 * gd(sequences), problems)
    assert comparison.sensitivity_cosine.tolist() == pytest.approx([-1.0] * 20)
    assert torch.allclose(comparison.prediction_difference, 3 * gd(problems).norm(dim=-1))
    flat = compare(gd, lambda sequences: 0 * gd(sequences), problems)
    assert flat.sensitivity_cosine.isnan().all()


def test_order_spread_of_a_learner_that_only_sees_the_first_example() -> None:
    """Two orders give y₁ and y₂: their deviation is |y₁ − y₂| / √2, over the root mean square of all predictions."""
    problems = WORLD.draw(50, 2, Generator().manual_seed(0))
    orders = [torch.tensor([0, 1]), torch.tensor([1, 0])]
    spread = order_spread(lambda sequences: sequences.y[:, 0], problems, orders)
    y = problems.y[..., 0].double()
    assert torch.allclose(spread, (y[:, 0] - y[:, 1]).abs() / 2**0.5 / y.square().mean().sqrt())
