"""Route a network's attention through a function of ours, for the length of a `with` block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from demograd.errors import UserError
from demograd.models import Anatomy


@dataclass(frozen=True, eq=False)
class Rotary:
    """The rotary positions that an attention module was handed."""

    module: nn.Module
    cos: Tensor
    """[batch, tokens, rotated_dim]"""
    sin: Tensor


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One layer's attention, as the network asks for it: after rotary positions and q/k norms."""

    layer: int
    query: Tensor
    """[batch, heads, tokens, head_dim]"""
    key: Tensor
    """[batch, key_value_heads, keys, head_dim]"""
    value: Tensor
    """[batch, key_value_heads, keys, value_dim]"""
    scaling: float
    softcap: float | None
    """Logits are squashed to softcap · tanh(logits / softcap) before the softmax (Gemma 2)."""
    window: int | None
    """A token sees only this many tokens back, itself included."""
    rotary: Rotary | None = None
    """What the module may have rotated query and key by; None where it was handed nothing."""


Attend = Callable[[AttentionCall], Tensor]
"""Returns the heads' outputs [batch, tokens, heads, value_dim]."""

_NAME = "demograd"
_attend: ContextVar[Attend] = ContextVar("attend")
_rotary: ContextVar[Rotary | None] = ContextVar("rotary")

# Arguments that do not change what attention computes here: demograd makes its own masks from what it knows.
_IGNORED = {"dropout", "position_ids", "use_cache", "output_attentions", "is_causal", "cache_position", "head_mask",
            "position_embeddings", "output_hidden_states", "return_dict", "logits_to_keep"}  # fmt: skip


def _interface(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **arguments: Any
) -> tuple[Tensor, None]:
    scaling = arguments.pop("scaling", None)
    softcap, window = arguments.pop("softcap", None), arguments.pop("sliding_window", None)
    unknown = [name for name, value in arguments.items() if value is not None and name not in _IGNORED]
    if unknown or attention_mask is not None:
        what = ", ".join(unknown) or "a mask of its own"
        raise UserError(f"The attention of {type(module).__name__} takes {what}, which demograd does not know",
                        "attention made of query, key, value, scaling, sliding window and soft-capping",
                        "Use another model, or teach demograd.observe.routing what it means")  # fmt: skip
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    layer: Any = module.layer_idx
    call = AttentionCall(layer, query, key, value, float(scaling), softcap, window, _rotary.get())
    return _attend.get()(call), None


# Only the attention is registered, not a mask function of the same name: the network then makes no mask at all.
AttentionInterface.register(_NAME, _interface)


def _keep_rotary(module: nn.Module, inputs: Any, arguments: dict[str, Any]) -> None:
    """Before an attention module runs: it rotates with these, but does not hand them on to its interface."""
    positions = arguments.get("position_embeddings")
    _rotary.set(None if positions is None else Rotary(module, *positions))


@contextmanager
def attention_routed(anatomy: Anatomy, attend: Attend) -> Iterator[None]:
    """Inside this block every layer of the network computes its attention with `attend`."""
    config = anatomy.network.config
    before = config._attn_implementation
    forward = anatomy.architecture.attention_forward
    token, rotary_token = _attend.set(attend), _rotary.set(None)
    hooks = [one.register_forward_pre_hook(_keep_rotary, with_kwargs=True) for one in anatomy.attentions]
    config._attn_implementation = _NAME
    if forward is not None:
        for attention in anatomy.attentions:
            attention.config = config
            attention.forward = MethodType(forward, attention)
    try:
        yield
    finally:
        config._attn_implementation = before
        if forward is not None:
            for attention in anatomy.attentions:
                del attention.forward, attention.config
        for hook in hooks:
            hook.remove()
        _rotary.reset(rotary_token)
        _attend.reset(token)
