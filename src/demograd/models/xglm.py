"""XGLM's attention, routed through `AttentionInterface`, with which XGLM itself does not register."""

from typing import Any

from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def xglm_attention_forward(
    self: Any,
    hidden_states: Tensor,
    key_value_states: Tensor | None = None,
    past_key_values: Any = None,
    attention_mask: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """What `XGLMAttention.forward` computes for self-attention; `hidden_states` is `[batch, tokens, hidden]`."""
    if key_value_states is not None:
        raise ValueError("cross-attention cannot be observed: demograd measures decoder-only models")
    shape = (*hidden_states.shape[:-1], -1, self.head_dim)
    # XGLM scales the query, bias included, before the product, so the interface must not scale again
    query = (self.q_proj(hidden_states) * self.scaling).view(shape).transpose(1, 2)
    key = self.k_proj(hidden_states).view(shape).transpose(1, 2)
    value = self.v_proj(hidden_states).view(shape).transpose(1, 2)
    if past_key_values is not None:
        key, value = past_key_values.update(key, value, self.layer_idx)
    attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
    output, weights = attend(self, query, key, value, attention_mask, scaling=1.0, **kwargs)
    return self.out_proj(output.reshape(hidden_states.shape)), weights
