"""A network's weights alone: how sparse they are, and how far apart two states of a model.

Constructions that implement gradient descent by hand need most weights zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.registry import SHARE, SIZE, metric


@metric(
    "sparsity ratio",
    source="Shen 2023, Figure 2",
    group="weights",
    measure="sparsity",
    table=None,
    per="model",
    bounds=SHARE,
)
def sparsity_ratio(
    matrices: Mapping[int, Iterable[Tensor]], thresholds: Sequence[float]
) -> Float[Tensor, "layers thresholds"]:
    """Share of a layer's attention weights with magnitude under a threshold.

    In each layer (in ascending order), for each threshold. `matrices` holds a layer's attention matrices, of any
    shapes: all their weights count alike. The paper plots mean and standard deviation over layers against the
    threshold. NaN (missing) for a layer without weights.
    """
    return torch.tensor([_shares(matrices[layer], thresholds) for layer in sorted(matrices)])


@metric(
    "parameter distance",
    source="Shen 2023, Figure 3",
    group="weights",
    measure="training_time",
    table=None,
    per="model",
    bounds=SIZE,
)
def parameter_distance(a: Iterable[tuple[str, Tensor]], b: Iterable[tuple[str, Tensor]]) -> dict[str, float]:
    """‖θ_a − θ_b‖ / ‖θ_b‖ between two states of one model.

    State `a` and state `b` (the earlier one, say), both as (name, tensor) in the same order. Tensors that come under
    one name are one vector: give every tensor of a layer the layer's name for a distance per layer. Only one pair of
    tensors is looked at at a time.

    Returns:
        name → distance; NaN (missing) where θ_b is zero there.

    **Raises:** ValueError where names or shapes differ.
    """
    difference: dict[str, float] = {}
    size: dict[str, float] = {}
    for (name, theta_a), (name_b, theta_b) in zip(a, b, strict=True):
        if (name, theta_a.shape) != (name_b, theta_b.shape):
            raise ValueError(f"{name} {list(theta_a.shape)} and {name_b} {list(theta_b.shape)} cannot be compared")
        theta_a, theta_b = theta_a.detach().double(), theta_b.detach().double()
        difference[name] = difference.get(name, 0.0) + (theta_a - theta_b).square().sum().item()
        size[name] = size.get(name, 0.0) + theta_b.square().sum().item()
    return {name: sqrt(difference[name] / size[name]) if size[name] > 0 else nan for name in size}


def _shares(tensors: Iterable[Tensor], thresholds: Sequence[float]) -> list[float]:
    below, total = [0] * len(thresholds), 0
    for tensor in tensors:
        magnitude = tensor.detach().abs().float()  # a 16-bit comparison would round the threshold
        total += magnitude.numel()
        below = [n + int((magnitude < threshold).sum()) for n, threshold in zip(below, thresholds, strict=True)]
    return [n / total if total else torch.nan for n in below]
