"""Untrained baselines (Deutch 2024 §3.3): the same architecture with weights that learned nothing."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from demograd.errors import UserError
from demograd.models.anatomy import find_anatomy
from demograd.models.fairseq_initialisation import draw_as_fairseq
from demograd.models.model import Model, Weights
from demograd.words import DrawnAs


def untrained(trained: Any, weights: Weights, seed: int, drawn_as: DrawnAs = "transformers") -> Any:
    """A new network whose parameters are drawn by the architecture's own initialisation, some kept from `trained`.

    Args:
        trained: the pretrained network; it is not changed.
        weights: `no_training` keeps nothing; `norms_only` keeps all norms (q/k norms too); `trained_embeddings`
            keeps all norms, the input and output embeddings, and positional embeddings where they exist.
        seed: of the initialisation. Drawn in float32 on the CPU, so that it does not depend on dtype or device.
        drawn_as: whose initialisation of the architecture it is.
    """
    reference = next(trained.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(deepcopy(trained.config), dtype=torch.float32)
        if drawn_as == "fairseq":
            draw_as_fairseq(network)
    network.to(dtype=reference.dtype)
    copied = [(name, module) for name, module in trained.named_modules() if _is_kept(trained, module, weights)]
    with torch.no_grad():
        for name, buffer in trained.named_buffers():  # not drawn; rotary frequencies of a 16-bit network are float32
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, buffer.clone())
        for name, module in copied:
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


_NAMES = ("initializer_range", "init_std", "initializer_factor")
"""What configurations call the standard deviation of fresh weights, in the order in which transformers looks."""


def set_initialisation(
    config: Any, saved: Mapping[str, Any], requested: float | None, built_in: float | None, model: str
) -> str:
    """Make the configuration draw untrained weights as it should, and say in a sentence how that is.

    Args:
        config: of the network; it is changed where something else than what it says is right.
        saved: what the model's configuration file says; empty: there is none, as for a GGUF file.
        asked: standard deviation, by the user.
        known: standard deviation, of a built-in model whose file does not say it.
        model: what to call it.

    Raises:
        UserError: what is asked for is no standard deviation, or this architecture does not know one.
    """
    name = next((name for name in _NAMES if hasattr(config, name)), None)
    if requested is not None:
        if not 0 < requested < float("inf"):
            raise UserError(f"initializer_range {requested}", "a standard deviation above zero", "Try 0.02")
        if name is None:
            raise UserError(
                f"initializer_range for {model}, whose architecture has no such setting",
                "a model that has one",
                "Leave it out",
            )
        setattr(config, name, requested)
        return _sentence(name, requested, "as asked for")
    if built_in is not None and name is not None:
        setattr(config, name, built_in)
        return _sentence(name, built_in, "as the configuration of the original says: a GGUF file does not")
    if name is None:
        return "untrained weights are drawn as the architecture does it, which has no setting for how widely"
    inside = saved.get("text_config") or {}
    if name in saved or name in inside:
        return _sentence(name, getattr(config, name), "as its configuration says")
    why = "its configuration does not say it" if saved else "a GGUF file does not say it"
    default = f"the default of transformers: {why}, and the setting initializer_range takes another"
    return _sentence(name, getattr(config, name), default)


def _sentence(name: str, value: float, why: str) -> str:
    return f"untrained weights are drawn with {name} {value:.6g}, {why}"


def without_final_norm(model: Model) -> Model:
    """The same model whose last block goes into the unembedding as it is; its network is changed in place.

    A network without a final norm is returned as it is. **Source:** the released runs of Deutch 2024, which lost it.
    """
    norm = model.anatomy.final_norm
    if norm is None:
        return model
    name = next(name for name, module in model.network.named_modules() if module is norm)
    model.network.set_submodule(name, nn.Identity())
    note = "The final norm was taken away, as in the released untrained runs."
    return replace(model, anatomy=find_anatomy(model.network), notes=(*model.notes, note))
