"""Attention layers as explicit matrices, and what they do to tokens: the same for constructed and trained weights.

Every token changes by e_j ← e_j + Σ_heads P V Σ_i e_i κ(⟨K e_i, Q e_j⟩), over the keys i that it may see. With P and V
apart, von Oswald 2023a's and Ahn 2023's notations are both this one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.sequences import Sequences
from demograd.synthetic.settings import AttentionKind, Kernel


def activated(
    kind: AttentionKind, products: Float[Tensor, "*batch queries keys"]
) -> Float[Tensor, "*batch queries keys"]:
    """Attention weights from products ⟨query, key⟩; softmax is over keys, the others are pointwise (Cheng 2024)."""
    match kind:
        case "linear":
            return products
        case "relu":
            return products.relu()
        case "exponential":
            return products.exp()
        case "softmax":
            return products.softmax(dim=-1)


def gram(
    kernel: Kernel, u: Float[Tensor, "*batch n inputs"], v: Float[Tensor, "*batch m inputs"]
) -> Float[Tensor, "*batch n m"]:
    """K(u_i, v_j): ⟨u, v⟩, its positive part, or its exponential."""
    return activated(kernel, u @ v.mT)


@dataclass(frozen=True)
class AttentionLayer:
    """The four matrices of each head. A column vector e becomes key K e, query Q e, and its update P V e."""

    key: Float[Tensor, "heads width width"]
    query: Float[Tensor, "heads width width"]
    value: Float[Tensor, "heads width width"]
    projection: Float[Tensor, "heads width width"]
    penalty: Float[Tensor, " heads"] | None = None
    """λ of a mesa-layer, whose heads fit values to keys; None: it is a layer of attention."""

    def matrices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Key, query, value, projection."""
        return self.key, self.query, self.value, self.projection

    def to(self, like: Tensor) -> "AttentionLayer":
        """The same layer in the dtype and on the device of a tensor."""
        penalty = None if self.penalty is None else self.penalty.to(like)
        key, query, value, projection = (matrix.to(like) for matrix in self.matrices())
        return AttentionLayer(key, query, value, projection, penalty)


def attended(
    tokens: Float[Tensor, "sequences tokens width"],
    layer: AttentionLayer,
    kind: AttentionKind = "linear",
    *,
    last_only: bool = False,
) -> Float[Tensor, "sequences updated width"]:
    """All tokens after a layer, or the last alone. The last is the query: it is no key.

    A mesa-layer, of whatever kind it is said to be, adds P W Q e with W = argmin Σ_i ‖V e_i − W K e_i‖² + λ‖W‖².
    """
    keys, queries = tokens[:, :-1], tokens[:, -1:] if last_only else tokens
    update = torch.zeros_like(queries)
    for head, (key, query, value, projection) in enumerate(zip(*layer.matrices(), strict=True)):
        qk, pv_transposed = query.mT @ key, (projection @ value).mT
        if layer.penalty is not None:
            k = keys @ key.mT
            squares = k.mT @ k + layer.penalty[head] * torch.eye(k.shape[-1]).to(k)
            update = update + queries @ query.mT @ torch.linalg.solve(squares, k.mT @ (keys @ pv_transposed))
        elif kind == "linear":
            # Σ_i e_i e_iᵀ first: a matrix as wide as a token, however many keys there are
            update = update + queries @ (qk @ (keys.mT @ keys) @ pv_transposed)
        else:
            update = update + activated(kind, queries @ qk @ keys.mT) @ (keys @ pv_transposed)
    return queries + update


def attended_causally(
    tokens: Float[Tensor, "sequences tokens width"], layer: AttentionLayer, kind: AttentionKind = "linear"
) -> Float[Tensor, "sequences tokens width"]:
    """All tokens after a layer in which each sees itself and those before it.

    Softmax's weights sum to 1 over them; other attention takes the mean over them; a mesa-layer fits to them.
    """
    if layer.penalty is not None:
        return tokens + _fitted_causally(tokens, layer, layer.penalty)
    visible = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).tril()
    update = torch.zeros_like(tokens)
    for key, query, value, projection in zip(*layer.matrices(), strict=True):
        products = tokens @ (query.mT @ key) @ tokens.mT
        if kind == "softmax":
            weights = activated(kind, products.masked_fill(~visible, -torch.inf))
        else:
            weights = activated(kind, products).masked_fill(~visible, 0.0) / visible.sum(dim=1, keepdim=True)
        update = update + weights @ (tokens @ (projection @ value).mT)
    return tokens + update


def _fitted_causally(
    tokens: Float[Tensor, "sequences tokens width"], layer: AttentionLayer, penalty: Float[Tensor, " heads"]
) -> Float[Tensor, "sequences tokens width"]:
    """What a mesa-layer adds, by recursive least squares: R = (Σ k kᵀ + λ)⁻¹ goes on by Sherman and Morrison's formula.

    **Source:** von Oswald 2023b, the mesa-layer (there λ⁻¹ is what is here λ).
    """
    k, q, v = (torch.einsum("bti,hoi->htbo", tokens, m) for m in (layer.key, layer.query, layer.value))
    everything = torch.eye(tokens.shape[-1]).to(tokens)
    r = (everything / penalty[:, None, None])[:, None].expand(-1, len(tokens), -1, -1)
    w, updates = torch.zeros_like(r), []
    for key, query, value in zip(*(part.unbind(1) for part in (k, q, v)), strict=True):
        rk = (r @ key[..., None]).squeeze(-1)
        gain = rk / (1 + (key * rk).sum(dim=-1, keepdim=True))
        r = r - gain[..., None] * rk[..., None, :]
        w = w + (value - (w @ key[..., None]).squeeze(-1))[..., None] * gain[..., None, :]
        updates.append(torch.einsum("hbij,hbj,hoi->bo", w, query, layer.projection))
    return torch.stack(updates, dim=1)


def as_tokens(
    sequences: Sequences, query_y: Float[Tensor, "sequences outputs"] | None = None
) -> Float[Tensor, "sequences tokens width"]:
    """Tokens (x_i, y_i), then the query as (x, query_y); its y is 0 unless given: −W₀x for GD from W₀."""
    if query_y is None:
        query_y = torch.zeros_like(sequences.query_y)
    query = torch.cat([sequences.query_x, query_y], dim=-1)
    return torch.cat([torch.cat([sequences.x, sequences.y], dim=-1), query[:, None]], dim=1)


def run_layers(
    tokens: Float[Tensor, "sequences tokens width"], layers: Sequence[AttentionLayer], kind: AttentionKind = "linear"
) -> Float[Tensor, "sequences tokens width"]:
    """All tokens after all layers."""
    for layer in layers:
        tokens = attended(tokens, layer, kind)
    return tokens


def repeated(
    tokens: Float[Tensor, "sequences tokens width"],
    layer: AttentionLayer,
    times: int,
    dampening: float = 1.0,
    kind: AttentionKind = "linear",
    outputs: int = 1,
) -> Iterator[Float[Tensor, "sequences outputs"]]:
    """What the query's token says after each of so many times that one layer is applied.

    Every token's y takes the share λ, the dampening, of its update each time, and its x stays as it is: with the layer
    of a GD step of rate η, this is GD with rate λη.

    **Source:** the roll-out of von Oswald 2023a (there λ = 0.75, 50 times).
    """
    x, y = tokens[..., :-outputs], tokens[..., -outputs:]
    for _ in range(times):
        after = attended(torch.cat([x, y], dim=-1), layer, kind)
        y = y + dampening * (after[..., -outputs:] - y)
        yield predictions(y, outputs)


def predictions(
    tokens: Float[Tensor, "sequences tokens width"], outputs: int = 1
) -> Float[Tensor, "sequences outputs"]:
    """What the query's token says: minus its last components (von Oswald 2023a)."""
    return -tokens[:, -1, -outputs:]
