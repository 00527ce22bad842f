"""What architectures need whose attention does not go through transformers' `AttentionInterface`, or is not all there.

While a network is hooked, one method of each of its attention modules is overridden by a function of this file, which
computes the same but leaves the attention itself to `attend`. ALiBi (Press 2022) adds to a key's logit a bias that
grows with the key's position: with slope s, s·j for the key at position j. That differs from −s·(i − j), of the paper,
by s·i, which is the same for all keys that the query at i sees, so the softmax does not notice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.models.bloom.modeling_bloom import build_alibi_tensor as bloom_table
from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb
from transformers.models.falcon.modeling_falcon import build_alibi_tensor as falcon_table

from demograd.models.anatomy import Anatomy

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


def bloom_alibi(config: Any, positions: Int[Tensor, " keys"], dtype: torch.dtype) -> Float[Tensor, "heads keys"]:
    """What BLOOM adds to the scaled logits of keys at these positions."""
    return _alibi_at(positions, bloom_table, config, dtype)


def falcon_alibi(
    config: Any, positions: Int[Tensor, " keys"], dtype: torch.dtype
) -> Float[Tensor, "heads keys"] | None:
    """What Falcon adds; None where it has rotary positions. It is scaled with the logits, and rounded to bfloat16."""
    if not config.alibi:
        return None
    return _alibi_at(positions, falcon_table, config, dtype) * config.head_dim**-0.5


def _alibi_at(positions: Tensor, table: Any, config: Any, dtype: torch.dtype) -> Tensor:
    # the networks' own tables, for their roundings, which are not the same at every position
    positions_from_zero = torch.ones(1, int(positions.max()) + 1, dtype=torch.long)
    return table(positions_from_zero, config.num_attention_heads, dtype)[:, 0].index_select(1, positions)


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
