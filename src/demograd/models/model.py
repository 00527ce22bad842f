"""A loaded language model and what must be known about it."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch

from demograd.models.anatomy import Anatomy

Weights = Literal["trained", "trained_embeddings", "norms_only", "no_training"]


def context_window(config: Any) -> int | None:
    """The most tokens that a model of this configuration takes, where it says so."""
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model: its network, its tokenizer, and where its parts are."""

    name: str
    network: Any = field(repr=False)
    """The Hugging Face module, in evaluation mode."""
    tokenizer: Any = field(repr=False)
    anatomy: Anatomy = field(repr=False)
    weights: Weights = "trained"
    seed: int = 0
    """What drew the untrained weights."""
    dtype: str = "float32"
    source: str = ""
    """Where the weights came from, for the provenance."""
    notes: tuple[str, ...] = ()
    """What a reader of the results must know about this model."""

    @property
    def context_window(self) -> int | None:
        """The most tokens that the model takes, where its configuration says so."""
        return context_window(self.network.config)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names, shapes and bytes of all parameters: equal only for equal weights."""
        digest = hashlib.sha256()
        for name, parameter in sorted(self.network.named_parameters()):
            digest.update(f"{name}{tuple(parameter.shape)}{parameter.dtype}".encode())
            digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()
