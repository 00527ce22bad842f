"""Probes read what is in tokens and nothing else; few-shot regression is regression; past is past."""

import numpy as np
import pytest
import torch
from torch import Generator

from demograd.synthetic import (
    LinearSystem,
    Trajectories,
    mesa_layers,
    past_states,
    preconditioned_inputs,
    probe_error,
    regularised_least_squares,
    ridge_so_far,
    squared_error,
)
from demograd.synthetic.attention import attended_causally
from demograd.synthetic.constructions import system_tokens

WORLD = LinearSystem(3, noise=0.1, start="sphere")


def draw(seed: int, sequences: int = 400) -> Trajectories:
    return WORLD.draw(sequences, 8, Generator().manual_seed(seed), dtype=torch.float64)


def test_a_state_before_is_the_state_then_and_not_the_one_after() -> None:
    trajectories = draw(0)
    before = past_states(trajectories, 2)
    assert torch.equal(before[:, 2:], trajectories.states[:, :-2]) and not before[:, :2].any()


def test_what_is_linear_in_a_token_is_read_off_and_what_is_not_there_is_not() -> None:
    fit, test = draw(0), draw(1)
    tokens, fresh = system_tokens(fit.states), system_tokens(test.states)
    for ago in (0, 1):
        error = probe_error(tokens, past_states(fit, ago), fresh, past_states(test, ago))
        assert error[:, ago:].max() < 1e-15 and error[:, :ago].isnan().all()
    mixing = torch.randn(12, 12, generator=Generator().manual_seed(2), dtype=torch.float64)
    turned = probe_error(tokens @ mixing, past_states(fit, 1), fresh @ mixing, past_states(test, 1))
    assert turned[:, 1:].max() < 1e-15
    noise = [torch.randn(400, 8, 4, generator=Generator().manual_seed(seed)) for seed in (3, 4)]
    error = probe_error(noise[0], past_states(fit, 0), noise[1], past_states(test, 0))
    assert error.mean() == pytest.approx(1, abs=0.03) and error.mean() > 1  # on fresh ones, fitted noise costs


def test_preconditioned_inputs_are_what_least_squares_multiplies() -> None:
    trajectories, penalty = draw(0, 5), 0.3
    inputs, predicted = preconditioned_inputs(trajectories, penalty), regularised_least_squares(trajectories, penalty)
    states = trajectories.states.numpy()
    for t in range(8):
        for s in range(5):
            before, after = states[s, :t], states[s, 1 : t + 1]
            h = before.T @ before + penalty * np.eye(3)
            assert inputs[s, t].numpy() == pytest.approx(np.linalg.inv(h) @ states[s, t])
            assert predicted[s, t].numpy() == pytest.approx(after.T @ before @ inputs[s, t].numpy(), abs=1e-12)


def test_a_layer_of_the_mesa_optimiser_brings_its_tokens_nearer_to_the_preconditioned_inputs() -> None:
    fit, test = draw(0, 3000), draw(1, 1000)
    targets = [preconditioned_inputs(trajectories, 1.0) for trajectories in (fit, test)]
    tokens, errors = [system_tokens(trajectories.states) for trajectories in (fit, test)], []
    for layer in [None, *mesa_layers([0.5] * 3, [0.5] * 3, 3)]:
        if layer is not None:
            tokens = [attended_causally(of_set, layer) for of_set in tokens]
        errors.append(float(probe_error(tokens[0], targets[0], tokens[1], targets[1])[:, 4:].mean()))
    assert errors[0] > 1.2 * errors[1] > 1.2 * errors[2]


def test_few_shot_states_are_pairs_of_a_rule_and_the_next_x_knows_nothing_of_it() -> None:
    world = LinearSystem(3, noise=0.0, start="sphere", contraction=0.5)
    states = world.draw_few_shot(2000, 6, Generator().manual_seed(0), dtype=torch.float64).states
    x, y = states[:, 0::2], states[:, 1::2]
    w = torch.linalg.lstsq(x[:, :3], y[:, :3]).solution
    assert torch.allclose(x @ w, y, atol=1e-6)  # one rule for each sequence
    assert torch.allclose(y.norm(dim=-1), 0.5 * x.norm(dim=-1))
    assert torch.allclose(x.square().sum(dim=-1), torch.full((2000, 6), 3.0, dtype=torch.float64))
    assert (y[:, :-1, :, None] * x[:, 1:, None]).mean(dim=(0, 1)).abs().max() < 0.03
    assert (w.mean(dim=0).abs() < 0.05).all()


def test_least_squares_on_the_pairs_alone_beats_that_on_all_states() -> None:
    world = LinearSystem(3, noise=0.05, start="sphere")
    trajectories = world.draw_few_shot(500, 8, Generator().manual_seed(0), dtype=torch.float64)
    x, y = trajectories.states[:, 0::2], trajectories.states[:, 1::2]
    alone = squared_error(ridge_so_far(x, y, x, 0.1), y).mean(dim=0)
    on_all = squared_error(regularised_least_squares(trajectories, 0.1)[:, 0::2], y).mean(dim=0)
    assert alone[-1] < 0.05 < 0.5 < on_all[-1] < on_all[0]
    assert alone[0] == pytest.approx(float(y[:, 0].square().sum(dim=-1).mean()))  # before any pair: zero is said
