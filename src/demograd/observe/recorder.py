"""What is kept of a forward pass: rows at the last token of each query, layer by layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from demograd.models import Anatomy
from demograd.observe.attention import attention_logits
from demograd.observe.routing import AttentionCall

Extra = Literal["next_token_log_probs", "context_logits", "query_vectors"]
Place = Literal["projection", "after_norm"]


@dataclass(eq=False)
class Recorder:
    """Collects, per layer, tensors whose first dimension is the segments of one pack."""

    extras: frozenset[Extra]
    rows: Tensor
    """The last token of each segment, in the row of tokens."""
    attention_output: dict[int, Tensor] = field(default_factory=dict)
    attention_logits: dict[int, Tensor] = field(default_factory=dict)
    context_logits: dict[int, Tensor] = field(default_factory=dict)
    query_vectors: dict[int, Tensor] = field(default_factory=dict)

    def record(self, call: AttentionCall, own_logits: Tensor, context_key: Tensor) -> None:
        """Keep this layer's `own_logits` `[segments, heads, tokens]`, and what else was asked for."""
        self.attention_logits[call.layer] = own_logits
        if not self.extras & {"context_logits", "query_vectors"}:
            return
        query = call.query[0].index_select(1, self.rows.to(call.query.device))
        if "context_logits" in self.extras:
            key = context_key[0].repeat_interleave(query.shape[0] // context_key.shape[1], dim=0)
            logits = attention_logits(query.float(), key.float(), call.scaling, call.softcap)
            self.context_logits[call.layer] = logits.transpose(0, 1)
        if "query_vectors" in self.extras:
            scaled = query.transpose(0, 1).flatten(1) * call.scaling
            self.query_vectors[call.layer] = scaled.float()

    @contextmanager
    def watching(self, anatomy: Anatomy, place: Place) -> Iterator[None]:
        """Keep the last token's attention output of every layer that runs inside this block."""
        modules = anatomy.attention_outputs
        if place == "after_norm":
            modules = anatomy.post_attention_norms

        def keep(layer: int) -> Any:
            def hook(module: Any, inputs: Any, output: Any) -> None:
                if layer in self.attention_output:  # the query ran first; this is one of its branches, run apart
                    return
                hidden = output[0] if isinstance(output, tuple) else output
                self.attention_output[layer] = hidden[0].index_select(0, self.rows.to(hidden.device)).float()

            return hook

        handles = [module.register_forward_hook(keep(layer)) for layer, module in enumerate(modules)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def stacked(per_layer: dict[int, Tensor]) -> Tensor:
    """`[segments, layers, …]` on the CPU, from each layer's `[segments, …]`."""
    return torch.stack([per_layer[layer].cpu() for layer in sorted(per_layer)], dim=1)
