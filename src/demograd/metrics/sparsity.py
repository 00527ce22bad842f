"""How sparse are a model's weights? Constructions that implement gradient descent by hand need most of them zero."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def sparsity_ratio(
    matrices: Mapping[int, Iterable[Tensor]], thresholds: Sequence[float]
) -> Float[Tensor, "layers thresholds"]:
    """Share of weights with |w| < threshold, in each layer (in ascending order) and for each threshold.

    `matrices` holds a layer's attention matrices, of any shapes: all their weights count alike. The paper plots mean
    and standard deviation over layers against the threshold. NaN (missing) for a layer without weights.

    **Source:** Shen 2023, Figure 2.
    """
    return torch.tensor([_shares(matrices[layer], thresholds) for layer in sorted(matrices)])


def _shares(tensors: Iterable[Tensor], thresholds: Sequence[float]) -> list[float]:
    below, total = [0] * len(thresholds), 0
    for tensor in tensors:
        magnitude = tensor.detach().abs().float()  # a 16-bit comparison would round the threshold
        total += magnitude.numel()
        below = [n + int((magnitude < threshold).sum()) for n, threshold in zip(below, thresholds, strict=True)]
    return [n / total if total else torch.nan for n in below]
