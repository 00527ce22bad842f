"""ALiBi (Press 2022): each head adds to a key's logit a bias that grows with the key's position.

With slope s, the bias of the key at position j is s·j. That differs from −s·(i − j), of the paper, by s·i, which is the
same for all keys that the query at i sees, so the softmax does not notice.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.models.bloom.modeling_bloom import build_alibi_tensor as bloom_table
from transformers.models.falcon.modeling_falcon import build_alibi_tensor as falcon_table


def bloom_alibi(config: Any, positions: Int[Tensor, " keys"], dtype: torch.dtype) -> Float[Tensor, "heads keys"]:
    """What BLOOM adds to the scaled logits of keys at these positions."""
    return _at(positions, bloom_table, config, dtype)


def falcon_alibi(
    config: Any, positions: Int[Tensor, " keys"], dtype: torch.dtype
) -> Float[Tensor, "heads keys"] | None:
    """What Falcon adds; None where it has rotary positions. It is scaled with the logits, and rounded to bfloat16."""
    if not config.alibi:
        return None
    return _at(positions, falcon_table, config, dtype) * config.head_dim**-0.5


def _at(positions: Tensor, table: Any, config: Any, dtype: torch.dtype) -> Tensor:
    # the networks' own tables, for their roundings, which are not the same at every position
    positions_from_zero = torch.ones(1, int(positions.max()) + 1, dtype=torch.long)
    return table(positions_from_zero, config.num_attention_heads, dtype)[:, 0].index_select(1, positions)
