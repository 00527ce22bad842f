"""A model's shape before its weights are there: its configuration, and how large its parts are."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from demograd.errors import UserError, quoted, shortened
from demograd.learn import ParameterSubset
from demograd.learn.cost import LayerSizes
from demograd.models import Anatomy, find_anatomy
from demograd.models.load import load_config

PER_LAYER = ("layer_types", "no_rope_layers", "attention_layers")
"""Settings of a configuration that have an entry for each layer."""


@dataclass(frozen=True, eq=False)
class Blueprint:
    """The shape of a model of a study."""

    name: str
    config: Any = field(repr=False)
    """Configuration of the language model, without its vision part."""

    @cached_property
    def anatomy(self) -> Anatomy:
        """Anatomy of a network whose tensors have shapes and no numbers.

        Raises:
            UserError: a configuration that no network has, or a shape that demograd does not know.
        """
        try:
            network = empty_network(self.config, device="meta")
        except Exception as error:  # a wrong number fails wherever it is first used
            raise UserError(
                f"The model {quoted(self.name)} has a configuration of which no network can be made "
                f"({type(error).__name__}: {shortened(str(error), 200)})",
                "a causal language model",
                "Check its config.json",
            ) from error
        return find_anatomy(network)

    @property
    def layers(self) -> int:
        return len(self.anatomy.blocks)

    @cached_property
    def sizes(self) -> list[LayerSizes]:
        """Sizes of each layer."""
        return [self._sizes_of(layer) for layer in range(self.layers)]

    def _sizes_of(self, layer: int) -> LayerSizes:
        key_value = sum(
            part.select(part.parameter).numel()
            for part in self.anatomy.key_value_parameters(layer)
            if part.parameter.dim() > 1
        )
        query = self.attention_width * self.hidden
        # BART's attention to an encoder, of which a decoder alone has none, is never run
        parameters = self.anatomy.blocks[layer].named_parameters()
        run = [parameter for name, parameter in parameters if not name.startswith("encoder_attn")]
        return LayerSizes(_entries(run), key_value + query)

    def trained_entries(self, subset: ParameterSubset) -> dict[int, int]:
        """Entries of the matrices that get a gradient, by layer: a fused matrix gets one as a whole."""
        entries = {}
        for layer in subset.numbers(self.layers):
            if subset.which == "all":
                entries[layer] = self.sizes[layer].all
                continue
            slices = self.anatomy.key_value_parameters(layer)
            parts = [part.parameter for part in slices if subset.which == "key_value" or part.part == "value"]
            entries[layer] = _entries({id(parameter): parameter for parameter in parts}.values())
        return entries

    @property
    def hidden(self) -> int:
        return self.anatomy.unembedding.weight.shape[1]

    @property
    def vocabulary(self) -> int:
        return self.anatomy.unembedding.weight.shape[0]

    @property
    def attention_width(self) -> int:
        """Query heads times their width."""
        heads = self.config.num_attention_heads
        return int(heads * (getattr(self.config, "head_dim", None) or self.config.hidden_size // heads))

    @cached_property
    def activations_per_token(self) -> int:
        """Numbers that a block's graph keeps of a token: each matrix's input and output, roughly."""
        return (
            sum(sum(parameter.shape) for parameter in self.anatomy.blocks[0].parameters() if parameter.dim() > 1)
            + 6 * self.hidden
        )

    @cached_property
    def parameters(self) -> int:
        """Number of parameters of the whole network; tied ones once."""
        return sum(parameter.numel() for parameter in self.anatomy.network.parameters())


def blueprint_of(name: str) -> Blueprint:
    """The model of this name; nothing of its weights is loaded, and nothing of them downloaded.

    Raises:
        UserError: the model cannot be found, or is of a shape that demograd does not know.
    """
    return Blueprint(name, load_config(name))


def empty_network(config: Any, device: str, layers: int | None = None) -> Any:
    """A network of this shape with random weights, or of the shape of its first layers."""
    config = deepcopy(config)
    if layers is not None:
        for name in ("num_hidden_layers", "decoder_layers"):  # BART's other name is its encoder's
            if hasattr(config, name):
                setattr(config, name, layers)
        for name in PER_LAYER:
            if isinstance(of_each := getattr(config, name, None), Sequence):
                setattr(config, name, list(of_each)[:layers])
        if hasattr(config, "attention_types"):  # GPT-Neo's other way of saying it
            config.attention_types = [[config.attention_layers, 1]]
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)


def _entries(parameters: Any) -> int:
    return sum(parameter.numel() for parameter in parameters if parameter.dim() > 1)
