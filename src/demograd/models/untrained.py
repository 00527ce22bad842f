"""Untrained baselines (Deutch 2024 §3.3): the same architecture with weights that learned nothing."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from demograd.models.model import Weights


def untrained(trained: Any, weights: Weights, seed: int) -> Any:
    """A new network whose parameters are drawn by the architecture's own initialisation, some kept from `trained`.

    Args:
        trained: the pretrained network; it is not changed.
        weights: `no_training` keeps nothing; `norms_only` keeps all norms (q/k norms too); `trained_embeddings`
            keeps all norms, the input and output embeddings, and positional embeddings where they exist.
        seed: of the initialisation. Drawn in float32 on the CPU, so that it does not depend on dtype or device.
    """
    reference = next(trained.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(deepcopy(trained.config), dtype=torch.float32)
    network.to(dtype=reference.dtype)
    kept = [(name, module) for name, module in trained.named_modules() if _is_kept(trained, module, weights)]
    with torch.no_grad():
        for name, buffer in trained.named_buffers():  # not drawn; rotary frequencies of a 16-bit network are float32
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, buffer.clone())
        for name, module in kept:
            fresh = dict(network.get_submodule(name).named_parameters(recurse=False))
            for parameter_name, parameter in module.named_parameters(recurse=False):
                fresh[parameter_name].copy_(parameter)
    return network.to(device=reference.device).eval()


def _is_kept(network: Any, module: nn.Module, weights: Weights) -> bool:
    is_norm = "norm" in type(module).__name__.lower()
    if weights == Weights.NO_TRAINING:
        return False
    if weights == Weights.NORMS_ONLY:
        return is_norm
    # every nn.Embedding is kept: token embeddings, and learned positions where the architecture has them
    return is_norm or isinstance(module, nn.Embedding) or module is network.get_output_embeddings()
