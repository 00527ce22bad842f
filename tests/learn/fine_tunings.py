"""What tests of fine-tuning share: two methods, jobs on random sequences, and whether a network is as it was before."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from demograd.learn import FineTuningJob, GradientDescent, LayerCausalGradientDescent, Method
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence

MakeModel = Callable[..., Model]
"""The fixture `random_model`."""
MakeSequences = Callable[..., list[TrainingSequence]]
"""The fixture `random_sequences`."""

GD = GradientDescent(learning_rate=0.01)
LCGD = LayerCausalGradientDescent(learning_rate=0.01)


def make_jobs(
    random_sequences: MakeSequences, method: Method, lengths: Sequence[Sequence[int]] = ((8, 5), (8, 5))
) -> list[FineTuningJob]:
    """A job for each demonstration set, whose sequences have these lengths; no two sets are alike."""
    return [FineTuningJob(random_sequences(*of_set, seed=n), method) for n, of_set in enumerate(lengths)]


def bits(network: Any) -> dict[str, Tensor]:
    """All parameters and buffers as integers, so that not even the sign of a zero may change."""
    return {name: tensor.detach().view(torch.uint8).clone() for name, tensor in network.state_dict().items()}


def assert_as_before(network: Any, before: dict[str, Tensor]) -> None:
    """Every bit of the network is that of `before`, and nothing of training is left at it."""
    after = bits(network)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not any("forward" in vars(module) for module in network.modules())
    assert network.config._attn_implementation == "eager"


class Interrupted(Exception):
    """What a test interrupts with."""
