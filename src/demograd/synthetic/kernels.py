"""Kernels K(u, v) of functions, and kinds of attention: what stands in place of softmax."""

from jaxtyping import Float
from torch import Tensor

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
