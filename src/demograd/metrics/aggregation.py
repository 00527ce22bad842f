"""From a score per query, layer and head to one number: heads, then queries, then layers, then demonstration seeds.

The order matters once values are missing: every mean is over what is there. (method.md, "Aggregation".)
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Aggregate:
    """A mean, and how much of it was there."""

    value: float
    """NaN (missing) if everything is missing, or nothing was selected."""
    n: int
    """How many values (one per query, layer and head) entered."""
    n_missing: int
    """How many were missing; n + n_missing is what was asked for."""

    @property
    def status(self) -> str:
        """`ok`, `missing` (all that was asked for), or `nothing selected` (nothing was asked for)."""
        if self.n:
            return "ok"
        return "missing" if self.n_missing else "nothing selected"


@dataclass(frozen=True)
class SeedScore:
    """A task's score over demonstration seeds: mean ± sample standard deviation."""

    mean: float
    """NaN (missing) if no seed has a value."""
    std: float | None
    """Divided by n − 1; None under three seeds."""
    n: int
    n_missing: int


def mean_over_heads(scores: Float[Tensor, "queries layers *heads"]) -> Float[Tensor, "queries layers"]:
    """The first mean, ignoring missing values; scores without heads are returned as they are."""
    return scores.nanmean(dim=-1) if scores.ndim == 3 else scores


def aggregate(scores: Float[Tensor, "queries layers *heads"]) -> Aggregate:
    """The mean over heads, then queries, then layers. Select queries first: `aggregate(scores[selected(…)])`."""
    per_layer_means = mean_over_heads(scores.double()).nanmean(dim=0)
    n_missing = int(scores.isnan().sum())
    return Aggregate(per_layer_means.nanmean().item(), scores.numel() - n_missing, n_missing)


def per_layer(scores: Float[Tensor, "queries layers *heads"]) -> list[Aggregate]:
    """`aggregate` of each layer alone."""
    return [aggregate(scores[:, layer : layer + 1]) for layer in range(scores.shape[1])]


def over_seeds(values: Sequence[float]) -> SeedScore:
    """Mean ± sample standard deviation of one value per demonstration seed, ignoring and counting missing ones."""
    present = [value for value in values if value == value]  # NaN is the one value that is not itself
    return SeedScore(
        mean=statistics.fmean(present) if present else float("nan"),
        std=statistics.stdev(present) if len(present) >= 3 else None,
        n=len(present),
        n_missing=len(values) - len(present),
    )


def stack_seeds(scores: Sequence[Float[Tensor, "queries layers *heads"]]) -> Float[Tensor, "seeds queries layers"]:
    """Scores of several demonstration seeds on the same queries, heads averaged, as the intervals take them.

    **Raises:** ValueError if the seeds do not have the same queries and layers.
    """
    shapes = {tuple(score.shape) for score in scores}
    if len(shapes) != 1:
        raise ValueError(f"seeds must share queries and layers, but the shapes of their scores are {sorted(shapes)}")
    return torch.stack([mean_over_heads(score.double()) for score in scores])
