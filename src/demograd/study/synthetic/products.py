"""The products QᵀK and PV of layers, head by head, each with the mask of its entries that count."""

import torch
from torch import Tensor

from demograd.synthetic import AttentionLayer, Masks, products


def masked_products(layers: list[AttentionLayer], used: list[Masks] | None) -> list[list[tuple[Tensor, Tensor]]]:
    """Of each layer. `used`: what is in use of it, as `in_use` says; None: that is not known, and all entries count."""
    found = []
    for n, layer in enumerate(layers):
        pair = products(layer)
        masks = [torch.ones_like(each[0], dtype=torch.bool) for each in pair] if used is None else used[n]
        found.append(
            [(of_head, mask.to(of_head.device)) for each, mask in zip(pair, masks, strict=True) for of_head in each]
        )
    return found
