"""Which entries of a network's weights can change a prediction; no training moves the others towards anything."""

import torch
from jaxtyping import Bool
from torch import Tensor

Masks = tuple[Bool[Tensor, "width width"], Bool[Tensor, "width width"]]
"""Of QᵀK and of PV, as `products` gives them."""


def in_use(
    layers: int, inputs: int, outputs: int = 1, *, shared: bool = False, mlp: bool = False, by_inputs: bool = False
) -> list[Masks]:
    """For each layer of a network that predicts a query's y from (x, 0), whatever its attention: what can matter.

    Of a layer's update PV Σ_i e_i κ(e_iᵀ KᵀQ e), all layers but the last use everything, since the examples' x and y
    are the next layer's keys, queries and values. The last one is read in the query's y alone: the rows of PV that give
    x are idle, unless an MLP reads x. And the one layer of a network that has no other sees a query whose y is 0: the
    rows of QᵀK that the query's y multiplies are idle. A shared layer uses what it uses at any of its places. With keys
    and queries `by_inputs`, the rows and columns of QᵀK that any y multiplies are idle in every layer.
    """
    width = inputs + outputs
    masks = []
    for n in range(layers):
        qk, pv = (torch.ones(width, width, dtype=torch.bool) for _ in range(2))
        if n == layers - 1 and not (shared and layers > 1):
            pv[:inputs] = mlp
            qk[inputs:] = layers > 1
        if by_inputs:
            qk[inputs:], qk[:, inputs:] = False, False
        masks.append((qk, pv))
    return masks
