"""A change of what a network computes on its queries that is no change of its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Patch:
    """What takes the place of a residual stream h: share · h + vector."""

    vector: Float[Tensor, " hidden"]
    share: float = 1.0
    """Of h that stays."""


@runtime_checkable
class LogitChange(Protocol):
    """What is added to the logits of the next token."""

    def __call__(
        self,
        hidden: Float[Tensor, "rows hidden"],
        logits: Float[Tensor, "rows vocabulary"],
        before: Sequence[Sequence[int]],
    ) -> Float[Tensor, "rows vocabulary"]:
        """
        Args:
            hidden: hidden states after the final norm, where a next token is predicted.
            logits: the network's, float32.
            before: of each row, the query's token ids up to it (without what stands before the query).
        """


@dataclass(frozen=True, eq=False)
class Intervention:
    """What a forward pass over queries computes otherwise; `observe` makes it so. Tensors may lie on any device."""

    prefix: Sequence[tuple[Tensor, Tensor]] = ()
    """Of each layer, keys and values `[1, key_value_heads, prefix, dim]` before the context of every token, which sees
    them where its window reaches so far; empty: none."""
    patches: Mapping[int, Patch] = field(default_factory=dict)
    """Layer → what takes the place of the residual stream behind this block, where the answer is predicted."""
    logit_change: LogitChange | None = None
