"""Route a network's attention through a function of ours, for the length of a `with` block."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from demograd.errors import UserError
from demograd.models import Anatomy
from demograd.models.architectures import AttentionOverride
from demograd.models.attention_overrides import AttendLayer
from demograd.observe.masks import Mask, attention_masks


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
    position_bias: Callable[[Tensor], Tensor | None] = lambda positions: None
    """Gives what is added to the logits of keys at positions [keys]: [heads, keys] (ALiBi), or None: nothing."""
    chunk: int | None = None
    """A token sees only its own chunk of this many tokens (Llama 4); chunks are counted from the context's first."""
    sinks: Tensor | None = None
    """A logit of each head [heads], beside those of the keys in the softmax, with no value behind it (GPT-OSS)."""

    def first_seen(self, tokens: Tensor) -> Tensor:
        """The first token that each of these sees, counted from the context's first token [...]."""
        if self.chunk is not None:
            return tokens // self.chunk * self.chunk
        return torch.zeros_like(tokens) if self.window is None else (tokens - self.window + 1).clamp(min=0)


Attend = Callable[[AttentionCall], Tensor]
"""Returns the heads' outputs [batch, tokens, heads, value_dim]."""

_NAME = "demograd"
_attend: ContextVar[Attend] = ContextVar("attend")
_rotary: ContextVar[Rotary | None] = ContextVar("rotary")
_masks: ContextVar[list[Mask | None]] = ContextVar("masks")

# Arguments that do not change what attention computes here: demograd makes its own masks from what it knows.
_IGNORED = {
    "dropout",
    "position_ids",
    "use_cache",
    "output_attentions",
    "is_causal",
    "cache_position",
    "head_mask",
    "position_embeddings",
    "output_hidden_states",
    "return_dict",
    "logits_to_keep",
}


def _interface(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **arguments: Any
) -> tuple[Tensor, None]:
    scaling = arguments.pop("scaling", None)
    softcap, sinks = arguments.pop("softcap", None), arguments.pop("s_aux", None)
    arguments.pop("sliding_window", None)  # for kernels that take no mask: what holds is what the mask says
    unknown = [name for name, value in arguments.items() if value is not None and name not in _IGNORED]
    if unknown or attention_mask is not None:
        unknown_inputs = ", ".join(unknown) or "a mask of its own"
        raise UserError(
            f"The attention of {type(module).__name__} takes {unknown_inputs}, which demograd does not know",
            "attention made of query, key, value, scaling, soft-capping and sinks",
            "Use another model, or teach demograd.observe.attention_hook what it means",
        )
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    layer: Any = module.layer_idx
    mask = _masks.get()[layer] or Mask()
    call = AttentionCall(
        layer, query, key, value, float(scaling), softcap, mask.window, _rotary.get(), chunk=mask.chunk, sinks=sinks
    )
    return _attend.get()(call).contiguous(), None


# Only the attention is registered, not a mask function of the same name: the network then makes no mask at all.
AttentionInterface.register(_NAME, _interface)


def _keep_rotary(override: AttentionOverride | None, module: nn.Module, inputs: Any, arguments: dict[str, Any]) -> None:
    """Before an attention module runs: it rotates with these, but does not hand them on to its interface."""
    positions = arguments.get("position_embeddings")
    if override is not None and override.rotary is not None:
        positions = override.rotary(module, arguments)
    if isinstance(
        positions, Tensor
    ):  # Llama 4: complex numbers, one for each pair of neighbours [batch, tokens, pairs]
        positions = tuple(part.repeat_interleave(2, dim=-1) for part in (positions.real, positions.imag))
    _rotary.set(None if positions is None else Rotary(module, *positions))


@contextmanager
def attention_routed(anatomy: Anatomy, attend: Attend) -> Iterator[None]:
    """Inside this block every layer of the network computes its attention with `attend`."""
    config = anatomy.network.config
    before = config._attn_implementation
    override = anatomy.architecture.override
    masks = attention_masks(anatomy)
    token, rotary_token, masks_token = _attend.set(attend), _rotary.set(None), _masks.set(masks)
    keep_rotary = partial(_keep_rotary, override)
    hooks = [attention.register_forward_pre_hook(keep_rotary, with_kwargs=True) for attention in anatomy.attentions]
    config._attn_implementation = _NAME
    with ExitStack() as stack:
        if override is not None:
            for layer, attention in enumerate(anatomy.attentions):
                function = partial(override.function, attention, _attend_at(layer, anatomy))
                stack.enter_context(_standing_in(function, attention, override.method))
        try:
            yield
        finally:
            config._attn_implementation = before
            for hook in hooks:
                hook.remove()
            _masks.reset(masks_token)
            _rotary.reset(rotary_token)
            _attend.reset(token)


@contextmanager
def _standing_in(function: Callable[..., Any], module: nn.Module, method: str) -> Iterator[None]:
    """Inside this block the function is called for the module's method."""
    own = vars(module).get(method)  # where accelerate spreads a network over devices, it does the same for `forward`
    setattr(module, method, function)
    try:
        yield
    finally:
        if own is None:
            delattr(module, method)
        else:
            setattr(module, method, own)


def _attend_at(layer: int, anatomy: Anatomy) -> AttendLayer:
    """What a way in calls for its attention."""

    def attend(query: Tensor, key: Tensor, value: Tensor, *, scaling: float, window: int | None = None) -> Tensor:
        bias, rotary = anatomy.position_bias, _rotary.get()
        return _attend.get()(AttentionCall(layer, query, key, value, scaling, None, window, rotary, bias))

    return attend
