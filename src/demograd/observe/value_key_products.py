"""Sums of v kᵀ over tokens: the weight matrix that linear attention over those tokens amounts to (its dual form)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from demograd.observe.attention import softmax_with_sinks


def value_key_products(
    value: Float[Tensor, "kv_heads tokens value_dim"], key: Float[Tensor, "kv_heads tokens key_dim"]
) -> Float[Tensor, "kv_heads value_dim key_dim"]:
    """Σ_i v_i k_iᵀ per key-value head (Dai 2023, eq. for W_ZSL and ΔW_ICL)."""
    return torch.einsum("gtv,gtk->gvk", value, key)


def weighted_value_key_products(
    weights: Float[Tensor, "queries heads tokens"],
    value: Float[Tensor, "kv_heads tokens value_dim"],
    key: Float[Tensor, "kv_heads tokens key_dim"],
) -> Float[Tensor, "queries kv_heads value_dim key_dim"]:
    """Σ_i a_i v_i k_iᵀ, a_i being averaged over the query heads that share a key-value head."""
    of_groups = weights.unflatten(1, (key.shape[0], -1)).mean(dim=2)
    return torch.einsum("qgt,gtv,gtk->qgvk", of_groups, value, key)


def last_token_weights(
    logits: Float[Tensor, "queries heads keys"],
    last: Int[Tensor, " queries"],
    first: Int[Tensor, " queries"],
    sinks: Float[Tensor, " heads"] | None = None,
) -> Float[Tensor, "queries heads keys"]:
    """The attention probabilities of each query's last token, from its logits against all keys.

    Args:
        logits: of the context's keys, then of the query's own; what stands behind its last token (padding, branches)
            gets nothing.
        last: where the last token stands among the keys.
        first: the first of the keys that it sees.
        sinks: logits beside them, which take their part (GPT-OSS).
    """
    keys = torch.arange(logits.shape[-1], device=last.device)
    visible = (keys <= last[:, None]) & (keys >= first[:, None])
    masked = logits.masked_fill(~visible[:, None].to(logits.device), -torch.inf)
    return softmax_with_sinks(masked[:, :, None], sinks)[:, :, 0]
