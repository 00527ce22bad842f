"""The fast methods compute what the papers write: held against `demograd.learn.reference`, bit-near."""

import copy
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, fine_tuned
from demograd.learn.reference import gradient_descent, layer_causal_gradient_descent, output_of
from demograd.models import Model, find_anatomy
from demograd.tasks.prompts import TrainingSequence

RATE = 0.01


def key_value_parameters(network: Any) -> list[list[torch.nn.Parameter]]:
    """θ_l of each layer, in a copy of the network."""
    return [
        [
            parameter.requires_grad_(True)
            for name, parameter in block.named_parameters()
            if ".k_proj." in name or ".v_proj." in name
        ]
        for block in find_anatomy(network).blocks
    ]


def assert_bit_near(model: Model, sequences: list[TrainingSequence], method: Method, expected: Any) -> list[float]:
    """The losses, where every weight is the expected network's."""
    with fine_tuned(model, sequences, method) as tuned:
        for (name, parameter), reference in zip(tuned.network.named_parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(parameter, reference.detach(), rtol=1e-6, atol=1e-7, msg=name)
        return tuned.losses.tolist()


@pytest.mark.parametrize("kind", ["llama", "opt", "qwen3"])
def test_gd_is_what_the_papers_write(kind: str, random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model, sequences = random_model(kind), random_sequences(12, 7, 9)
    network = copy.deepcopy(model.network)
    trained = [parameter for layer in key_value_parameters(network) for parameter in layer]
    losses = gradient_descent(network, trained, sequences, RATE)
    assert assert_bit_near(model, sequences, GradientDescent(learning_rate=RATE), network) == pytest.approx(losses)


@pytest.mark.parametrize("step", ["demonstration", "token"])
@pytest.mark.parametrize("readout", ["block", "attention"])
@pytest.mark.parametrize("kind", ["llama", "opt", "qwen3"])
def test_lcgd_is_what_the_paper_writes(
    kind: str, readout: Any, step: Any, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Its released runs read the block's output, and step once per demonstration; its text reads the attention output,
    and steps once per token."""
    model, sequences = random_model(kind), random_sequences(12, 7, 9)
    network = copy.deepcopy(model.network)
    anatomy = find_anatomy(network)
    attentions = [output_of(*pair) for pair in zip(anatomy.attention_outputs, anatomy.blocks, strict=True)]
    losses = layer_causal_gradient_descent(
        network,
        anatomy.blocks,
        anatomy.readout,
        key_value_parameters(network),
        sequences,
        RATE,
        attentions if readout == "attention" else None,
        step,
    )
    n_tokens = sum(sum(sequence.loss_mask) for sequence in sequences)
    assert len(losses) == (n_tokens if step == "token" else len(sequences))
    method = LayerCausalGradientDescent(learning_rate=RATE, readout=readout, step=step)
    assert assert_bit_near(model, sequences, method, network) == pytest.approx(list(map(sum, losses)))
