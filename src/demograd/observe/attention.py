"""Attention as it is computed here: causal over one sequence, or a part of the keys with its normaliser."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from demograd.observe.attention_hook import AttentionCall
from demograd.observe.first_order import has_derivative

# The kernel behind scaled_dot_product_attention on a CPU, by its own name because it alone tells the normaliser. It is
# not public: on a torch without it, the products below do the same in three times the time.
_FLASH = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)


def causal_mask(call: AttentionCall) -> Bool[Tensor, "queries keys"]:
    """True where a query sees a key; the queries are the last of the keys."""
    queries, keys, device = call.query.shape[-2], call.key.shape[-2], call.query.device
    tokens = torch.arange(keys, device=device)
    last = tokens[keys - queries :, None]
    return (tokens <= last) & (tokens >= call.first_seen(last))


def sees_all(call: AttentionCall, last: int) -> bool:
    """Whether token number `last` sees all before it, and so do these."""
    return int(call.first_seen(torch.tensor(last))) == 0


def softmax_with_sinks(logits: Float[Tensor, "*batch heads queries keys"], sinks: Tensor | None) -> Tensor:
    """The weights of the keys; sinks `[heads]` take their part of each row, and are left out."""
    if sinks is None:
        return logits.softmax(dim=-1)
    beside = sinks.to(logits)[:, None, None].expand(*logits.shape[:-1], 1)
    return torch.cat([logits, beside], dim=-1).softmax(dim=-1)[..., :-1]


def causal_attention(call: AttentionCall, softmax_gradient: bool = True) -> Float[Tensor, "batch tokens heads dim"]:
    """Causal self-attention over whole sequences, with gradients.

    Args:
        call: queries that are the last of the keys.
        softmax_gradient: False takes the attention weights as constants in the backward pass (Deutch 2024 §4.2), so
            that a gradient reaches the values but not the keys.
    """
    queries, keys = call.query.shape[-2], call.key.shape[-2]
    grouped = call.query.shape[1] != call.key.shape[1]
    bias = position_bias(call, torch.arange(keys))
    fused = call.softcap is None and call.sinks is None and softmax_gradient
    if fused and not has_derivative(call.query, call.key, call.value):
        plain = bias is None and sees_all(call, keys - 1) and (queries == keys or queries == 1)
        mask = None if plain else causal_mask(call)
        if bias is not None:
            assert mask is not None
            mask = bias[:, None].masked_fill(~mask, -torch.inf)
        output = scaled_dot_product_attention(
            call.query,
            call.key,
            call.value,
            attn_mask=mask,
            is_causal=plain and queries > 1,
            scale=call.scaling,
            enable_gqa=grouped,
        )
        return output.transpose(1, 2)
    repeats = call.query.shape[1] // call.key.shape[1]
    key, value = call.key.repeat_interleave(repeats, dim=1), call.value.repeat_interleave(repeats, dim=1)
    logits = attention_logits(call.query, key, call.scaling, call.softcap)
    if bias is not None:
        logits = logits + bias[:, None]
    weights = softmax_with_sinks(logits.float().masked_fill(~causal_mask(call), -torch.inf), call.sinks).to(value.dtype)
    return ((weights if softmax_gradient else weights.detach()) @ value).transpose(1, 2)


def position_bias(call: AttentionCall, positions: Int[Tensor, " keys"]) -> Float[Tensor, "heads keys"] | None:
    """What is added to the logits of keys at these positions, where something is (ALiBi)."""
    bias = call.position_bias(positions)
    return None if bias is None else bias.to(call.query.device, call.query.dtype)


def attention_logits(query: Tensor, key: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """What enters the softmax, before mask and position bias `[..., queries, keys]`."""
    logits = (query * scaling) @ key.transpose(-1, -2)  # scaled first: in 16 bit the product alone can overflow
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def partial_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch heads keys dim"],
    value: Float[Tensor, "batch heads keys value_dim"],
    call: AttentionCall,
    visible: Bool[Tensor, "#batch 1 queries keys"] | None = None,
    is_causal: bool = False,
    bias: Float[Tensor, "#batch #heads #queries keys"] | None = None,
) -> tuple[Float[Tensor, "batch heads queries value_dim"], Float[Tensor, "batch heads queries"]]:
    """Attention over some of the keys, and the logarithm of its normaliser, so that parts can be joined.

    The bias is added to the logits. A query that sees none of the keys gets zeros and a normaliser of −∞.
    """
    plain = call.softcap is None and visible is None and bias is None and query.shape[-1] == value.shape[-1]
    if plain and query.device.type == "cpu" and _FLASH is not None and not has_derivative(query, key, value):
        return _FLASH(query, key, value, 0.0, is_causal, scale=call.scaling)
    logits = attention_logits(query, key, call.scaling, call.softcap).float()
    if bias is not None:
        logits += bias
    if is_causal:
        visible = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()[None, None]
    if visible is not None:
        logits.masked_fill_(~visible, -torch.inf)
    normaliser = logits.logsumexp(dim=-1)
    blind = normaliser == -math.inf
    normaliser = normaliser.masked_fill(blind, -math.inf)  # the same value, but its derivative is zero, not 0/0
    shift = normaliser.masked_fill(blind, 0.0)
    weights = logits.sub_(shift[..., None]).exp_()
    return weights.to(value.dtype) @ value, normaliser


def joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], sinks: Tensor | None = None) -> Tensor:
    """Attention over two disjoint parts of the keys, from their outputs `[heads, tokens, value_dim]` and normaliser.

    Sinks `[heads]` are one more part, whose output is zero.
    """
    (first_output, first_normaliser), (second_output, second_normaliser) = first, second
    share = torch.sigmoid(second_normaliser - first_normaliser)[..., None].to(first_output.dtype)
    output = torch.lerp(first_output, second_output, share)
    if sinks is None:
        return output
    of_keys = torch.logaddexp(first_normaliser, second_normaliser) - sinks.float()[:, None]
    return output * torch.sigmoid(of_keys)[..., None].to(output.dtype)
