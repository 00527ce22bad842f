"""Ways in for architectures whose attention does not go through transformers' `AttentionInterface`.

While a network is routed, one method of each of its attention modules stands aside for a function of this file, which
computes the same but leaves the attention itself to `attend`.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb

AttendLayer = Callable[..., Tensor]
"""Attention of one layer: `attend(query, key, value, scaling=…, window=None)` takes `[batch, heads, tokens, head_dim]`
and twice `[batch, key_value_heads, keys, …]`, and gives the heads' outputs `[batch, tokens, heads, value_dim]`."""


def xglm(attention: Any, attend: AttendLayer, hidden_states: Tensor, *, past_key_values: Any = None, **_: Any) -> Any:
    """XGLM, and so the fairseq dense family that the papers measure (`KoboldAI/fairseq-dense-*` on the hub).

    That family is XGLM's network with GPT-2's BPE under fairseq's token ids. What was verified: on a fairseq-style
    decoder this computes what the released procedure does (`tests/parity`), with positions that begin at 2, behind the
    padding id, and with BOS 0 and EOS 2. What was not, no hub being in reach: that the hub's tokenizers declare these
    as BOS and EOS (`load_model` notes a BOS that is not the configuration's). KoboldAI itself writes a newline as EOS
    for them (its pull request 159): `separator: eos`, as in the released runs, is the safe choice there.
    """
    shape = (*hidden_states.shape[:-1], -1, attention.head_dim)
    # XGLM scales the query, bias included, before the product, so `attend` must not scale again
    query = (attention.q_proj(hidden_states) * attention.scaling).view(shape).transpose(1, 2)
    key = attention.k_proj(hidden_states).view(shape).transpose(1, 2)
    value = attention.v_proj(hidden_states).view(shape).transpose(1, 2)
    if past_key_values is not None:
        key, value = past_key_values.update(key, value, attention.layer_idx)
    output = attend(query, key, value, scaling=1.0)
    return attention.out_proj(output.flatten(2)), None


def gptj(attention: Any, attend: AttendLayer, query: Tensor, key: Tensor, value: Tensor, _mask: None = None) -> Any:
    """GPT-J's `_attn`, after rotary positions and cache: in float32 whatever the network's dtype, as GPT-J has it."""
    output = attend(query.float(), key.float(), value.float(), scaling=1 / attention.scale_attn)
    return output.transpose(1, 2).to(value.dtype), None


def gptj_rotary(attention: Any, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """GPT-J looks its rotary positions up by itself: sines, then cosines, one for each pair of neighbours."""
    table = attention.embed_positions.to(arguments["position_ids"].device)
    sin, cos = table[arguments["position_ids"]].repeat_interleave(2, dim=-1).chunk(2, dim=-1)
    return cos, sin


def gpt_neo(attention: Any, attend: AttendLayer, query: Tensor, key: Tensor, value: Tensor, _mask: None = None) -> Any:
    """GPT-Neo's `_attn`: not scaled, in float32; every other layer is local (a token and the `window_size` − 1 before
    it), which GPT-Neo keeps in a mask over indices and `attend` knows by position."""
    window = attention.config.window_size if attention.attention_type == "local" else None
    output = attend(query.float(), key.float(), value.float(), scaling=1.0, window=window)
    return output.transpose(1, 2).to(value.dtype), None


def bloom(
    attention: Any, attend: AttendLayer, hidden_states: Tensor, residual: Tensor, *, layer_past: Any = None, **_: Any
) -> Any:
    """BLOOM, whose attention module adds the residual stream itself; its ALiBi comes from `position_bias`."""
    query, key, value = _split_by_group(attention.query_key_value(hidden_states), attention.num_heads, attention)
    if layer_past is not None:
        key, value = layer_past.update(key, value, attention.layer_idx)
    output = attend(query, key, value, scaling=attention.inv_norm_factor)
    return attention.dense(output.flatten(2)) + residual, None


def falcon(
    attention: Any,
    attend: AttendLayer,
    hidden_states: Tensor,
    *,
    alibi: Tensor | None,
    position_embeddings: tuple[Tensor, Tensor],
    layer_past: Any = None,
    **_: Any,
) -> Any:
    """Falcon, with rotary positions or, like BLOOM, with ALiBi; key heads stay as few as they are."""
    query, key, value = _split_by_group(attention.query_key_value(hidden_states), attention.num_kv_heads, attention)
    if alibi is None:
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
    if layer_past is not None:
        key, value = layer_past.update(key, value, attention.layer_idx)
    output = attend(query, key, value, scaling=attention.inv_norm_factor)
    return attention.dense(output.flatten(2)), None


def falcon_rotary(_: Any, arguments: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """With ALiBi, Falcon is handed rotary positions and does not use them."""
    positions: tuple[Tensor, Tensor] = arguments["position_embeddings"]
    return positions if arguments["alibi"] is None else None


def _split_by_group(fused: Tensor, groups: int, attention: Any) -> list[Tensor]:
    """A fused projection `[batch, tokens, rows]` holds, group by group, its queries, its key and its value."""
    grouped = fused.unflatten(-1, (groups, -1, attention.head_dim))
    parts = grouped.split([grouped.shape[3] - 2, 1, 1], dim=3)
    return [part.flatten(2, 3).transpose(1, 2) for part in parts]
