"""What can be recorded on request of one layer's attention, each as a function of that layer's pass.

Sums of v kᵀ over tokens are the weight matrix that linear attention over those tokens amounts to (its dual form).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from demograd.observe.attention import attention_logits, position_bias, softmax_with_sinks
from demograd.observe.attention_hook import AttentionCall
from demograd.observe.rotary import query_vectors
from demograd.words import Extra


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


OF_DEMONSTRATIONS: frozenset[Extra] = frozenset({"context_value_key_products", "weighted_context_value_key_products"})
"""Those that need demonstrations in the context."""


SHARED: frozenset[Extra] = frozenset({"context_value_key_products"})
"""Those that all queries share: recorded once."""


@dataclass(frozen=True, eq=False)
class LayerPass:
    """One layer's attention over segments in a row, behind a context."""

    call: AttentionCall
    """Its keys and values are the row's own."""
    own_logits: Tensor
    """The last query tokens' against their own segments [segments, heads, longest]."""
    context_key: Tensor
    """[1, key_value_heads, context, head_dim]"""
    context_value: Tensor
    output: Tensor
    """What attention gives every token [1, tokens, heads, value_dim]."""
    last: Tensor
    """Row of each query's last token [segments]."""
    lengths: list[int]
    """Tokens of each query."""
    first_position: int
    """Position of each query's first token."""
    demonstrations: Tensor
    """Which tokens of the context are demonstrations'."""

    def of_segments(self, segments: Sequence[int]) -> "LayerPass":
        """The same pass, of some of its segments."""
        lengths = [self.lengths[segment] for segment in segments]
        return replace(self, own_logits=self.own_logits[segments], last=self.last[segments], lengths=lengths)

    @property
    def rows(self) -> Tensor:
        """`last`, where this layer is."""
        return self.last.to(self.call.query.device)

    @cached_property
    def context_logits(self) -> Tensor:
        """The last query tokens' against the context, float32 [segments, heads, context]."""
        query = self.call.query[0].index_select(1, self.rows)
        key = self.context_key[0].repeat_interleave(query.shape[0] // self.context_key.shape[1], dim=0)
        return attention_logits(query.float(), key.float(), self.call.scaling, self.call.softcap).transpose(0, 1)

    @cached_property
    def weights(self) -> Tensor:
        """The last query tokens' attention probabilities [segments, heads, context + longest]."""
        context, longest = self.context_key.shape[2], self.own_logits.shape[-1]
        logits = torch.cat([self.context_logits, self.own_logits], dim=-1)
        positions = torch.cat([torch.arange(context), self.first_position + torch.arange(longest)])
        if (bias := position_bias(self.call, positions)) is not None:
            logits = logits + bias
        last = context + torch.tensor(self.lengths) - 1
        return last_token_weights(logits, last, self.call.first_seen(last), self.call.sinks)

    def own_of(self, segment: int) -> tuple[Tensor, Tensor]:
        """Values and keys of a query's own tokens, float32 [key_value_heads, tokens, dim]."""
        end = int(self.last[segment]) + 1
        tokens = slice(end - self.lengths[segment], end)
        return self.call.value[0, :, tokens].float(), self.call.key[0, :, tokens].float()

    @property
    def of_demonstrations(self) -> tuple[Tensor, Tensor]:
        """The same of the demonstrations' tokens."""
        tokens = self.demonstrations.to(self.context_key.device)
        value, key = (tensor[0].index_select(1, tokens).float() for tensor in (self.context_value, self.context_key))
        return value, key


def _weighted_own(layer: LayerPass) -> Tensor:
    """[segments, key_value_heads, value_dim, key_dim]"""
    products, context = [], layer.context_key.shape[2]
    for segment, length in enumerate(layer.lengths):
        weights = layer.weights[segment : segment + 1, :, context : context + length]
        products.append(weighted_value_key_products(weights, *layer.own_of(segment)))
    return torch.cat(products)


def _weighted_demonstrations(layer: LayerPass) -> Tensor:
    """[segments, key_value_heads, value_dim, key_dim]"""
    weights = layer.weights.index_select(2, layer.demonstrations.to(layer.weights.device))
    return weighted_value_key_products(weights, *layer.of_demonstrations)


OF_A_LAYER: dict[Extra, Callable[[LayerPass], Tensor]] = {
    "context_logits": lambda layer: layer.context_logits,
    "query_vectors": lambda layer: query_vectors(layer.call)[layer.rows],
    "rotated_query_vectors": lambda layer: query_vectors(layer.call, rotated=True)[layer.rows],
    "head_outputs": lambda layer: layer.output[0].index_select(0, layer.rows).float(),
    "value_key_products": lambda layer: torch.stack(
        [value_key_products(*layer.own_of(segment)) for segment in range(len(layer.lengths))]
    ),
    "weighted_value_key_products": _weighted_own,
    "context_value_key_products": lambda layer: value_key_products(*layer.of_demonstrations)[None],
    "weighted_context_value_key_products": _weighted_demonstrations,
}
"""How each is made; the first dimension is the segments, or has size one where they share it. `attention_weights` is
not among them: the recorder makes it, maybe of some segments only."""
