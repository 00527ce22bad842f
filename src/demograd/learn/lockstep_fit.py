"""Whether jobs can share passes through a network, tried on the network itself, and how many fit into memory."""

import os
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from demograd.learn.fine_tuning import FineTuning
from demograd.learn.gradient_descent import GradientDescent
from demograd.learn.job_layer import projections_of
from demograd.learn.layer_causal import LayerCausalGradientDescent
from demograd.learn.lockstep import Lockstep
from demograd.learn.method import Method
from demograd.learn.packed_passes import PackedPasses
from demograd.learn.step import hidden_states, whole_pass
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import attention_routed
from demograd.observe.self_check import OUTPUT_TOLERANCE, relative_difference
from demograd.tasks.prompts import TrainingSequence


def why_not_in_lockstep(anatomy: Anatomy, method: Method) -> str | None:
    """Why jobs of this method cannot share passes through this network; None where they can."""
    if (why_not := why_not_by_method(method)) is not None:
        return why_not
    if len({parameter.device for parameter in anatomy.network.parameters()}) > 1:
        return "the network is spread over several devices"
    if anatomy.network not in _shares_passes:
        _shares_passes[anatomy.network] = _can_share_passes(anatomy)
    if not _shares_passes[anatomy.network]:
        return f"sequences end to end are not what {type(anatomy.network).__name__} computes of each by itself"
    return None


def why_not_by_method(method: Method) -> str | None:
    """Why jobs of this method cannot share passes through any network; None where it depends on the network."""
    if not isinstance(method, FineTuning) or type(method) not in (GradientDescent, LayerCausalGradientDescent):
        return f"{method.name} has steps of its own"
    if getattr(method, "step", None) == "token":
        return "a step per token runs each token behind what its own steps have changed"
    if method.parameters.which == "all":
        return "every parameter is trained, so that no part of the network is shared"
    return None


_shares_passes: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()
_TRIAL_LENGTHS = (5, 9)
"""Tokens of the sequences that are tried."""


@torch.no_grad()
def _can_share_passes(anatomy: Anatomy) -> bool:
    """Whether key and value projections are linear maps, and two jobs in one row get their own hidden states; tried on
    the network itself, on a few random tokens."""
    if not all(_is_linear_map(module) for n in range(len(anatomy.blocks)) for module in projections_of(anatomy, n)):
        return False
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(anatomy.network.config.vocab_size)
    jobs = [torch.randint(vocabulary, (length,), generator=generator).tolist() for length in _TRIAL_LENGTHS]
    sequences = [TrainingSequence(tokens, [False] + [True] * (len(tokens) - 1)) for tokens in jobs]
    method = GradientDescent(learning_rate=0.0)
    lockstep = Lockstep(anatomy, [[sequence] for sequence in sequences], [method] * 2, lambda job, steps: None)
    passes = [whole_pass(sequence) for sequence in sequences]
    with attention_routed(anatomy, causal_attention):
        own = torch.cat([hidden_states(anatomy, single) for single in passes])
    try:
        with lockstep.standing_in():
            together = lockstep.hidden_states(PackedPasses([*enumerate(passes)]))
    except TypeError:  # it does not take positions
        return False
    dtype = str(anatomy.network.dtype).removeprefix("torch.")
    return relative_difference(together, own) <= OUTPUT_TOLERANCE.get(dtype, OUTPUT_TOLERANCE["float32"])


def _is_linear_map(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, Conv1D)) and module.weight.is_floating_point()


def jobs_that_fit(anatomy: Anatomy, method: FineTuning) -> int:
    """How many jobs' weights, gradients and moments take a quarter of this machine's memory, or half of what a GPU has
    free; activations need room beside them."""
    entries = sum(
        parameter.numel()
        for n in method.parameters.numbers(len(anatomy.blocks))
        for module in projections_of(anatomy, n)
        for parameter in module.parameters()
    )
    size = entries * (4 + 4 + (8 if method.optimizer == "adam" else 4 if method.momentum else 0))
    if anatomy.device.type == "cuda":
        room = torch.cuda.mem_get_info(anatomy.device)[0] // 2
    else:
        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return room // size
