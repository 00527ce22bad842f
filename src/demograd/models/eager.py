"""A network's own eager attention, which returns its probabilities."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from demograd.models.anatomy import Anatomy


@contextmanager
def eager_attention(anatomy: Anatomy) -> Iterator[None]:
    """Inside this block `output_attentions=True` gives the probabilities that the network attends with."""
    config = anatomy.network.config
    before = config._attn_implementation
    config._attn_implementation = "eager"
    falcons = anatomy.attentions if config.model_type == "falcon" else []
    handles = [attention.register_forward_pre_hook(_alibi_once, with_kwargs=True) for attention in falcons]
    try:
        yield
    finally:
        config._attn_implementation = before
        for handle in handles:
            handle.remove()


def _alibi_once(attention: nn.Module, inputs: tuple[Any, ...], arguments: dict[str, Any]) -> tuple[Any, Any]:
    # transformers (5.23) adds ALiBi to Falcon's mask, for SDPA, and its eager attention then adds it once more. The
    # mask's last entry, of a token for itself, is zero where it is a mask only.
    mask, alibi = arguments["attention_mask"], arguments["alibi"]
    if alibi is not None and mask[..., -1, -1].any():
        arguments = {**arguments, "alibi": torch.zeros_like(alibi)}
    return inputs, arguments
