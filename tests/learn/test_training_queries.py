"""Query vectors of training tokens, from the network just before it learns from them."""

from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences
from torch import Tensor

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, fine_tuned
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence

# per kind: where a layer's queries come out before any rotation, and what attention multiplies them by
KINDS = {
    "llama": (lambda network, layer: network.model.layers[layer].self_attn.q_proj, 16**-0.5),
    "qwen3": (lambda network, layer: network.model.layers[layer].self_attn.q_norm, 24**-0.5),
    "gemma2": (lambda network, layer: network.model.layers[layer].self_attn.q_proj, 20**-0.5),
    "opt": (lambda network, layer: network.model.decoder.layers[layer].self_attn.q_proj, 16**-0.5),
}
EACH_KIND = pytest.mark.parametrize("kind", sorted(KINDS))
RATE = 0.05


def queries_now(model: Model, kind: str, tokens: list[int]) -> Tensor:
    """Query vectors [tokens, layers, heads × head_dim], recorded where the network computes them."""
    caught: list[Tensor] = []
    place, scaling = KINDS[kind]
    handles = [
        place(model.network, layer).register_forward_hook(
            lambda module, inputs, output: caught.append(scaling * output[0].flatten(1).detach())
        )
        for layer in range(3)
    ]
    model.network(input_ids=torch.tensor([tokens]), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack(caught, dim=1)


def recorded(model: Model, sequences: list[TrainingSequence], method: Method) -> list[Tensor]:
    with fine_tuned(model, sequences, method, record_training_queries=True) as tuned:
        assert tuned.training_queries is not None
        return tuned.training_queries


@EACH_KIND
@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("make", [GradientDescent, LayerCausalGradientDescent])
def test_each_demonstration_is_asked_before_its_own_update_and_after_those_before_it(
    make: Any, epochs: int, kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model, sequences = random_model(kind), random_sequences(12, 7, 9)
    got = recorded(model, sequences, make(learning_rate=RATE, epochs=epochs))
    assert [len(vectors) for vectors in got] == [12, 7, 9]
    untrained = queries_now(model, kind, sequences[2].tokens)
    for number, sequence in enumerate(sequences):
        if number == 0:
            expected = queries_now(model, kind, sequence.tokens)
        else:
            with fine_tuned(model, sequences[:number], make(learning_rate=RATE)) as tuned:
                expected = queries_now(tuned, kind, sequence.tokens)
        if make is GradientDescent:
            torch.testing.assert_close(got[number], expected, rtol=1e-4, atol=1e-4)
        else:  # in LCGD, layers above the first see blocks that have learned already, or not yet
            torch.testing.assert_close(got[number][:, 0], expected[:, 0], rtol=1e-4, atol=1e-4)
    assert (got[2] - untrained).norm() > 0.01 * untrained.norm()


def test_a_batch_is_asked_before_its_one_update(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model, sequences = random_model("llama"), random_sequences(12, 7)
    got = recorded(model, sequences, GradientDescent(learning_rate=RATE, step="batch", epochs=2))
    for vectors, sequence in zip(got, sequences, strict=True):
        torch.testing.assert_close(vectors, queries_now(model, "llama", sequence.tokens), rtol=1e-4, atol=1e-5)


def test_by_token_each_token_is_asked_before_it_is_learned_from(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Tokens that do not count, and the last one, which teaches nothing, have their query vectors in their turn."""
    model, (first, second) = random_model("llama"), random_sequences(9, 6)
    method = GradientDescent(learning_rate=RATE, step="token")
    got = recorded(model, [first, second], method)
    assert [len(vectors) for vectors in got] == [9, 6]
    for place in range(len(second.tokens)):
        # what was learned up to here: the first demonstration, and the beginning of the second
        tokens, mask = second.tokens[: place + 1], second.loss_mask[: place + 1]
        learned = [first, *([TrainingSequence(tokens, mask)] if any(mask) else [])]
        with fine_tuned(model, learned, method) as tuned:
            expected = queries_now(tuned, "llama", tokens)[-1]
        torch.testing.assert_close(got[1][place], expected, rtol=1e-4, atol=1e-4)


def test_lcgd_by_token_asks_every_token_once(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model, sequences = random_model("llama"), random_sequences(9, 6)
    still = LayerCausalGradientDescent(learning_rate=0.0, step="token")
    for vectors, sequence in zip(recorded(model, sequences, still), sequences, strict=True):
        torch.testing.assert_close(vectors, queries_now(model, "llama", sequence.tokens), rtol=1e-4, atol=1e-5)
    moving = recorded(model, sequences, LayerCausalGradientDescent(learning_rate=RATE, step="token"))
    assert [vectors.shape for vectors in moving] == [(9, 3, 64), (6, 3, 64)]


def test_recording_changes_nothing_that_is_learned(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model, sequences = random_model("llama"), random_sequences(9, 6)
    methods: list[Method] = [
        make(learning_rate=RATE, step=step)
        for make in (GradientDescent, LayerCausalGradientDescent)
        for step in ("demonstration", "token")
    ]
    for method in methods:
        learned = []
        for record in (False, True):
            with fine_tuned(model, sequences, method, record_training_queries=record) as tuned:
                assert (tuned.training_queries is not None) == record
                learned.append([parameter.clone() for parameter in tuned.network.parameters()])
        assert all(torch.equal(parameter, other) for parameter, other in zip(*learned, strict=True)), method
