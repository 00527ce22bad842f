"""What is kept of a forward pass: rows at the last token of each query, layer by layer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from demograd.models import Anatomy
from demograd.observe.attention_hook import AttentionCall
from demograd.observe.extras import OF_A_LAYER, Extra, LayerPass
from demograd.tasks.prompts import Prompts

Place = Literal["projection", "after_norm"]


@dataclass(eq=False)
class Recorder:
    """Collects, per layer, tensors whose first dimension is the segments of one pack."""

    extras: frozenset[Extra]
    last: Tensor
    """The last token of each query, in the row of tokens."""
    lengths: list[int]
    """Tokens of each query."""
    prompts: Prompts
    attended: Sequence[int] = ()
    """The segments of which `attention_weights` are recorded."""
    recorded: defaultdict[str, dict[int, Tensor]] = field(default_factory=lambda: defaultdict(dict))
    """By name of the field in `Observation`, then by layer."""

    @cached_property
    def demonstrations(self) -> Tensor:
        """Which tokens of the context are demonstrations'."""
        return torch.tensor(
            [token for span in self.prompts.demonstration_spans for token in range(*span)], dtype=torch.long
        )

    def record(self, call: AttentionCall, own_logits: Tensor, context: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep this layer's `own_logits`, and what else was asked for (see `LayerPass`; `context`: key and value)."""
        self.recorded["attention_logits"][call.layer] = own_logits
        layer = LayerPass(
            call,
            own_logits,
            *context,
            output,
            self.last,
            self.lengths,
            self.prompts.first_query_position,
            self.demonstrations,
        )
        for extra in self.extras & OF_A_LAYER.keys():
            self.recorded[extra][call.layer] = OF_A_LAYER[extra](layer)
        if self.attended:
            self.recorded["attention_weights"][call.layer] = layer.of_segments(self.attended).weights

    @contextmanager
    def watching(self, anatomy: Anatomy, place: Place) -> Iterator[None]:
        """Keep the last token's attention output of every layer that runs inside this block, and the stream behind it
        where that is asked for."""
        modules = {"attention_output": anatomy.attention_outputs}
        if place == "after_norm":
            modules = {"attention_output": anatomy.post_attention_norms}
        if "block_outputs" in self.extras:
            modules["block_outputs"] = anatomy.blocks

        def keep(name: str, layer: int) -> Any:
            outputs = self.recorded[name]

            def hook(module: Any, inputs: Any, output: Any) -> None:
                if layer in outputs:  # the query ran first; this is one of its branches, run apart
                    return
                hidden = output[0] if isinstance(output, tuple) else output
                outputs[layer] = hidden[0].index_select(0, self.last.to(hidden.device)).float()

            return hook

        handles = [
            module.register_forward_hook(keep(name, layer))
            for name, of_layers in modules.items()
            for layer, module in enumerate(of_layers)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def stacked(per_layer: dict[int, Tensor]) -> Tensor:
    """`[segments, layers, …]` on the CPU, from each layer's `[segments, …]`."""
    return torch.stack([per_layer[layer].cpu() for layer in sorted(per_layer)], dim=1)
