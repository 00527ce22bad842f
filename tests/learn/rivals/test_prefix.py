"""Prefix tuning, against Adam on keys and values that stand in Hugging Face's own cache."""

from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import demonstrations, logits_of, plain_loss
from torch import Tensor
from transformers import DynamicCache

from demograd import UserError
from demograd.learn import fine_tuned
from demograd.learn.rivals.prefix import PrefixTuning
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence

Prefix = list[tuple[Tensor, Tensor]]


def learned_prefix(model: Model, sequences: list[TrainingSequence], method: PrefixTuning) -> Prefix:
    with fine_tuned(model, sequences, method) as tuned:
        assert tuned.intervention is not None
        return [*tuned.intervention.prefix]


def loss_behind(network: Any, prefix: Prefix, sequence: TrainingSequence) -> Tensor:
    """Positions count from BOS, as if there were no prefix."""
    cache = DynamicCache()
    for layer, (key, value) in enumerate(prefix):
        cache.update(key, value, layer)
    positions = torch.arange(len(sequence.tokens))[None]
    return plain_loss(logits_of(network, sequence, past_key_values=cache, position_ids=positions), sequence)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_steps_are_adams_on_keys_and_values_in_the_networks_own_cache(kind: str, random_model: MakeModel) -> None:
    model, sequences = random_model(kind), demonstrations(6, 4)
    before = bits(model.network)
    start = learned_prefix(model, sequences, PrefixTuning(learning_rate=0.0, length=3))
    leaves = [tensor.clone().requires_grad_() for pair in start for tensor in pair]
    optimizer = torch.optim.Adam(leaves, lr=0.01)
    losses = []
    for sequence in sequences * 2:
        optimizer.zero_grad()
        loss = loss_behind(model.network, [*zip(leaves[::2], leaves[1::2], strict=True)], sequence)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    method = PrefixTuning(learning_rate=0.01, length=3, epochs=2)
    with fine_tuned(model, sequences, method) as tuned:
        assert tuned.intervention is not None
        learned = [tensor for pair in tuned.intervention.prefix for tensor in pair]
        torch.testing.assert_close(tuned.losses, torch.tensor(losses), rtol=1e-4, atol=1e-5)
    for mine, plain, first in zip(learned, leaves, [tensor for pair in start for tensor in pair], strict=True):
        # where a gradient is nothing but rounding, Adam's sign is chance
        assert ((mine - plain.detach()).abs() > 1e-3).float().mean() < 0.01
        assert (mine - first).abs().max() > 0.01
    assert_as_before(model.network, before)


def test_the_first_step_goes_against_the_slope_of_the_loss(random_model: MakeModel) -> None:
    """By finite differences in 64 bit."""
    model, sequences = random_model("llama"), demonstrations(6)
    start = learned_prefix(model, sequences, PrefixTuning(learning_rate=0.0, length=2))
    after = learned_prefix(model, sequences, PrefixTuning(learning_rate=0.001, length=2))
    exact = random_model("llama", dtype=torch.float64).network
    for layer, part, entry in ((0, 0, 5), (1, 0, 40), (1, 1, 17), (2, 1, 63)):
        sides = []
        for sign in (1, -1):
            moved = [(key.double(), value.double()) for key, value in start]
            moved[layer][part].view(-1)[entry] += sign * 1e-4
            with torch.no_grad():
                sides.append(loss_behind(exact, moved, sequences[0]))
        slope = float(sides[0] - sides[1])
        step = float((after[layer][part] - start[layer][part]).flatten()[entry])
        assert abs(slope) > 1e-10 and step == pytest.approx(-0.001 if slope > 0 else 0.001, rel=0.01)


def test_it_begins_as_the_first_tokens_keys_and_values_apart_by_noise(random_model: MakeModel) -> None:
    model, sequences = random_model("llama"), demonstrations(5, 4)
    cache = DynamicCache()
    with torch.no_grad():
        model.network(input_ids=torch.tensor([[0]]), past_key_values=cache, use_cache=True)
    start = learned_prefix(model, sequences, PrefixTuning(learning_rate=0.0, length=3, noise=0.0))
    noisy = learned_prefix(model, sequences, PrefixTuning(learning_rate=0.0, length=3, noise=0.1))
    for layer, (key, value) in enumerate(start):
        torch.testing.assert_close(key, cache.layers[layer].keys.expand(-1, -1, 3, -1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(value, cache.layers[layer].values.expand(-1, -1, 3, -1), rtol=1e-4, atol=1e-5)
        apart = (noisy[layer][0] - key).std() / key[:, :, 0].std()
        assert 0.07 < apart < 0.13
        assert not torch.equal(noisy[layer][0][:, :, 0], noisy[layer][0][:, :, 1])


@pytest.mark.parametrize("kind", ["bloom", "falcon alibi", "llama4_text"])
def test_keys_that_need_a_position_or_see_their_chunk_have_no_prefix(kind: str, random_model: MakeModel) -> None:
    with (
        pytest.raises(UserError, match=rf"prefix for {kind.split()[0]}.*Use another method"),
        fine_tuned(random_model(kind), demonstrations(5), PrefixTuning(learning_rate=0.01)),
    ):
        pass


def test_falcon_with_rotary_positions_has_one(random_model: MakeModel) -> None:
    (first, *_) = learned_prefix(random_model("falcon"), demonstrations(5), PrefixTuning(learning_rate=0.01, length=2))
    assert first[0].shape[2] == 2
