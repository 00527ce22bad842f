"""What a model's intervention changes in a forward pass: prefixes of keys and values, and streams that are patched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from demograd.models import Model, Patch
from demograd.observe.attention_hook import AttentionCall


def behind_prefix(model: Model, call: AttentionCall) -> AttentionCall:
    """The attention call with the keys and values that the model's intervention puts before all others."""
    if model.intervention is None or not model.intervention.prefix:
        return call
    key, value = model.intervention.prefix[call.layer]
    return with_keys_before(call, key, value)


def with_keys_before(call: AttentionCall, key: Tensor, value: Tensor) -> AttentionCall:
    """The same call with these keys and values `[1, key_value_heads, prefix, dim]` before its own."""
    return replace(
        call,
        key=torch.cat([key.to(call.key), call.key], dim=2),
        value=torch.cat([value.to(call.value), call.value], dim=2),
    )


def prefix_length(model: Model) -> int:
    """How many keys stand before all others in each layer."""
    intervention = model.intervention
    return intervention.prefix[0][0].shape[2] if intervention is not None and intervention.prefix else 0


@contextmanager
def patched(model: Model, rows: Tensor) -> Iterator[None]:
    """Inside this block the streams of these rows of tokens are what the model's intervention makes of them."""

    def hook_of(patch: Patch) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            changed, places = hidden.clone(), rows.to(hidden.device)
            changed[0, places] = patch.share * hidden[0, places] + patch.vector.to(hidden)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

    patches = {} if model.intervention is None else model.intervention.patches
    # before the recorder's hooks, which then keep what the next block reads
    handles = [
        model.anatomy.blocks[layer].register_forward_hook(hook_of(patch), prepend=True)
        for layer, patch in patches.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
