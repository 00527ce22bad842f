"""A part of a network's parameters: a whole matrix, some rows of a fused one, or some of its entries."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

Part = Literal["key", "value"]


@dataclass(frozen=True, eq=False)
class ParameterSlice:
    """A parameter, or some of its entries."""

    name: str
    part: Part | None
    """None for a parameter that is taken whole, whatever it is for."""
    parameter: nn.Parameter
    dim: int | None = 0
    """Along which dimension `index` counts; None: along the entries of the flattened parameter."""
    index: Tensor | None = None
    """Positions along `dim` that belong to this part; None: all of them."""

    def select(self, tensor: Tensor) -> Tensor:
        """This part of a tensor shaped like the parameter (itself, or its gradient); a copy where there is an index."""
        if self.index is None:
            return tensor
        return tensor.flatten()[self.index] if self.dim is None else tensor.index_select(self.dim, self.index)

    def read(self) -> Tensor:
        """A copy of the values."""
        values = self.select(self.parameter.detach())
        return values.clone() if self.index is None else values

    def write(self, values: Tensor) -> None:
        """Overwrite the values, rounded to the parameter's dtype; every other entry keeps its bits."""
        self.write_into(self.parameter, values)

    @torch.no_grad()
    def write_into(self, tensor: Tensor, values: Tensor) -> None:
        """The same in a contiguous tensor shaped like the parameter."""
        if self.index is None:
            tensor.copy_(values)
        elif self.dim is None:
            tensor.view(-1)[self.index] = values.to(tensor.dtype)
        else:
            tensor.index_copy_(self.dim, self.index, values.to(tensor.dtype))

    def only(self, chosen: Tensor) -> "ParameterSlice":
        """The entries of this slice where `chosen`, a mask `[entries of the slice]`, is true."""
        entries = torch.arange(self.parameter.numel(), device=self.parameter.device).view(self.parameter.shape)
        return replace(self, dim=None, index=self.select(entries).flatten()[chosen.to(entries.device)])


def fused_rows(config: Any, layout: Literal["stacked", "interleaved"]) -> dict[Part, Tensor]:
    """Which outputs of a fused query-key-value projection are keys, and which are values."""
    heads = config.num_attention_heads
    key_value_heads = _key_value_heads(config)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    if layout == "stacked":  # all queries, then all keys, then all values: GPT-2, Phi-3
        queries, keys = heads * head_dim, key_value_heads * head_dim
        return {
            "key": torch.arange(queries, queries + keys),
            "value": torch.arange(queries + keys, queries + 2 * keys),
        }
    # key head by key head: its queries, its key, its value: GPT-NeoX, BLOOM, Falcon
    rows = torch.arange((heads + 2 * key_value_heads) * head_dim).view(key_value_heads, -1, head_dim)
    return {"key": rows[:, -2].reshape(-1), "value": rows[:, -1].reshape(-1)}


def _key_value_heads(config: Any) -> int:
    if config.model_type == "falcon":
        return config.num_kv_heads if config.new_decoder_architecture or not config.multi_query else 1
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads
