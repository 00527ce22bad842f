"""A loaded language model and what must be known about it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from demograd.display import Grid, html
from demograd.models.anatomy import Anatomy
from demograd.models.intervention import Intervention
from demograd.words import Weights


def context_window(config: Any) -> int | None:
    """The most tokens that a model of this configuration takes (BLOOM: that it was trained on), where it says so."""
    lengths = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "seq_length"))
    return next((length for length in lengths if length), None)


def fingerprint(network: Any) -> str:
    """SHA-256 over names, shapes, dtypes and bytes of a network's state: its parameters and persistent buffers.

    Other buffers are not weights: a network makes them from its configuration.
    """
    digest = hashlib.sha256()
    for name, entry in sorted(network.state_dict().items()):
        digest.update(json.dumps([name, list(entry.shape), str(entry.dtype)]).encode())
        digest.update(entry.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model: its network, its tokenizer, and where its parts are."""

    name: str
    network: Any = field(repr=False)
    """The Hugging Face module, in evaluation mode."""
    tokenizer: Any = field(repr=False)
    anatomy: Anatomy = field(repr=False)
    weights: Weights = Weights.TRAINED
    seed: int = 0
    """What drew the untrained weights."""
    dtype: str = "float32"
    source: str = ""
    """Where the weights came from, for the provenance."""
    notes: tuple[str, ...] = ()
    """What a reader of the results must know about this model."""
    drawn_from: str = ""
    """The fingerprint, for untrained weights, of the trained network whose twin this is."""
    initialisation: str = ""
    """How widely untrained weights of this model are drawn, and who says so: a sentence."""
    change: Mapping[str, Tensor] | None = field(default=None, repr=False)
    """A change of parameters, by their names in the network, that is not made in the network: `observe` adds what it
    does to first order. None: there is none."""
    intervention: Intervention | None = field(default=None, repr=False)
    """What is otherwise in the forward pass on queries, with the network's weights as they are: `observe` makes it so.
    None: nothing."""

    def __repr__(self) -> str:
        """One line: what it is, and its size."""
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        size = f"{len(self.anatomy.blocks)} layers of {self.network.config.hidden_size}, {parameters:,} parameters"
        seed = "" if self.weights == Weights.TRAINED else f", seed {self.seed}"
        return (
            f"Model({self.name!r}, {type(self.network).__name__}, {size}, "
            f"{self.weights}{seed}, {self.dtype} on {self.anatomy.device})"
        )

    def _repr_html_(self) -> str:
        """What it is, its size, and what a reader of its results must know."""
        config = self.network.config
        seed = "" if self.weights == Weights.TRAINED else f", seed {self.seed}"
        facts = {
            "network": type(self.network).__name__,
            "weights": f"{self.weights}{seed}",
            "parameters": f"{sum(parameter.numel() for parameter in self.network.parameters()):,}",
            "layers": len(self.anatomy.blocks),
            "heads of a layer": getattr(config, "num_attention_heads", None),
            "hidden size": config.hidden_size,
            "context window": self.context_window and f"{self.context_window:,} tokens",
            "computes in": f"{self.dtype} on {self.anatomy.device}",
            "source": self.source,
            "initialisation": self.initialisation,
            # to compute it takes as long as reading all weights
            "fingerprint": self.__dict__.get("fingerprint", "Model.fingerprint computes it"),
        }
        rows = [(name, value) for name, value in facts.items() if value not in (None, "")]
        return html(f"Model {self.name}", Grid(rows), sentences=self.notes)

    @property
    def context_window(self) -> int | None:
        """The most tokens that the model takes, where its configuration says so."""
        return context_window(self.network.config)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the network's state, see `fingerprint`: equal only for equal weights."""
        return fingerprint(self.network)

    @property
    def pretrained_fingerprint(self) -> str:
        """The fingerprint of the trained network, also where this one is an untrained twin of it."""
        return self.drawn_from or self.fingerprint
