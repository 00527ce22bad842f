"""How far apart are two states of a model? Beside ICL's accuracy, over the checkpoints of one training run."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan, sqrt
from statistics import fmean

from torch import Tensor


@dataclass(frozen=True)
class ParameterDistance:
    """‖θ_a − θ_b‖ / ‖θ_b‖, of everything and part by part."""

    total: float
    """Of all parameters as one vector."""
    by_name: dict[str, float]
    """Of each name's tensors as one vector; NaN (missing) where θ_b is zero there."""

    @property
    def mean(self) -> float:
        """Mean over names, whatever their size; NaN (missing) if all are."""
        present = [distance for distance in self.by_name.values() if distance == distance]
        return fmean(present) if present else nan

    @property
    def n_missing(self) -> int:
        """How many names have no distance."""
        return sum(distance != distance for distance in self.by_name.values())


def parameter_distance(a: Iterable[tuple[str, Tensor]], b: Iterable[tuple[str, Tensor]]) -> ParameterDistance:
    """Relative distance of state `a` from state `b` (the earlier one, say), both as (name, tensor) in the same order.

    Tensors that come under one name are one vector, so the names are what the mean is over: give every tensor of a
    layer the layer's name for a mean over layers. Only one pair of tensors is looked at at a time.

    **Source:** Shen 2023, Figure 3. **Raises:** ValueError where names or shapes differ.
    """
    difference: dict[str, float] = {}
    size: dict[str, float] = {}
    for (name, theta_a), (name_b, theta_b) in zip(a, b, strict=True):
        if (name, theta_a.shape) != (name_b, theta_b.shape):
            raise ValueError(f"{name} {list(theta_a.shape)} and {name_b} {list(theta_b.shape)} cannot be compared")
        theta_a, theta_b = theta_a.detach().double(), theta_b.detach().double()
        difference[name] = difference.get(name, 0.0) + (theta_a - theta_b).square().sum().item()
        size[name] = size.get(name, 0.0) + theta_b.square().sum().item()
    return ParameterDistance(
        _relative(sum(difference.values()), sum(size.values())),
        {name: _relative(difference[name], size[name]) for name in size},
    )


def _relative(difference: float, size: float) -> float:
    """From squared norms."""
    return sqrt(difference / size) if size > 0 else nan
