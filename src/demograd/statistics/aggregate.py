"""From a score per query, layer and head to one number: heads, then queries, then layers, then demonstration seeds.

The order matters once values are missing: every mean is over what is there. NaN is a value
that is missing. An infinite value diverged, and then there is no mean: that of the others would be of a luckier sample.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isinf, nan

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Aggregate:
    """A mean, and how much of it was there."""

    value: float
    """NaN (missing) if everything is missing, or nothing was selected; infinite if a value is: it diverged."""
    n: int
    """How many values (one per query, layer and head) are finite."""
    n_missing: int
    """How many are not; n + n_missing is what was asked for."""
    n_diverged: int = 0
    """How many of those are infinite."""

    @property
    def status(self) -> str:
        """`ok`, `diverged: …`, `missing` (all that was asked for), or `nothing selected` (nothing was asked for)."""
        if self.n_diverged:
            return diverged(self.n_diverged, self.n + self.n_missing)
        if self.n:
            return "ok"
        return "missing" if self.n_missing else "nothing selected"


@dataclass(frozen=True)
class SeedScore:
    """A task's score over demonstration seeds: mean ± sample standard deviation."""

    mean: float
    """NaN (missing) if no seed has a value, or a seed's diverged."""
    std: float | None
    """Divided by n − 1; None under three seeds."""
    n: int
    n_missing: int


def diverged(n: int, total: int) -> str:
    """`diverged: 3 of 64 values are not finite`: why there is no number."""
    return f"diverged: {n:,} of {total:,} value{'s' * (total != 1)} {'is' if n == 1 else 'are'} not finite"


def infinite_where_any(result: Float[Tensor, "*shape"], *parts: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What was computed from values of which one diverged: infinite, whatever ∞ − ∞ and 0 · ∞ made of it."""
    for part in parts:
        result = torch.where(part.isinf(), torch.inf, result)
    return result


def difference(a: Float[Tensor, "*shape"], b: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Value by value: NaN (missing) where either is missing, infinite where either diverged."""
    return infinite_where_any(a - b, a, b)


def mean_over_heads(scores: Float[Tensor, "queries *layers_heads"]) -> Float[Tensor, "queries *layers"]:
    """The first mean, [queries, layers, heads] → [queries, layers], ignoring missing values; infinite where a head's
    value is. Scores without heads, or without layers, are returned as they are."""
    if scores.ndim < 3:
        return scores
    return torch.where(scores.isinf().any(dim=-1), torch.inf, scores.nanmean(dim=-1))


def aggregate(scores: Float[Tensor, "queries layers *heads"]) -> Aggregate:
    """The mean over heads, then queries, then layers. Select queries first: `aggregate(scores[selected(…)])`."""
    n_diverged, n_finite = int(scores.isinf().sum()), int(scores.isfinite().sum())
    mean = torch.inf if n_diverged else mean_over_heads(scores.double()).nanmean(dim=0).nanmean().item()
    return Aggregate(mean, n_finite, scores.numel() - n_finite, n_diverged)


def per_layer(scores: Float[Tensor, "queries layers *heads"]) -> list[Aggregate]:
    """`aggregate` of each layer alone."""
    others = [dim for dim in range(scores.ndim) if dim != 1]
    n_diverged, n_finite = (flags.sum(dim=others).tolist() for flags in (scores.isinf(), scores.isfinite()))
    means = mean_over_heads(scores.double()).nanmean(dim=0).tolist()
    n = scores[:, :1].numel()
    return [
        Aggregate(torch.inf if diverged else mean, finite, n - finite, diverged)
        for mean, finite, diverged in zip(means, n_finite, n_diverged, strict=True)
    ]


def over_seeds(values: Sequence[float]) -> SeedScore:
    """Mean ± sample standard deviation of one value per demonstration seed, ignoring and counting missing ones (NaN).

    Where a seed's value is infinite there is no mean: the seeds that did not diverge are no fair sample.
    """
    present = [value for value in values if isfinite(value)]
    is_whole = bool(present) and not any(map(isinf, values))
    return SeedScore(
        mean=statistics.fmean(present) if is_whole else nan,
        std=statistics.stdev(present) if is_whole and len(present) >= 3 else None,
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


def only(scores: Float[Tensor, "queries *rest"], selection: Bool[Tensor, " queries"]) -> Float[Tensor, "queries *rest"]:
    """The scores with NaN at the queries that are not selected, so that seeds which select different queries can be
    stacked (`stack_seeds`), resampled and tested: their means are those of `scores[selection]`.

    Count with `aggregate(scores[selection])`: a query that was not asked for is not a missing one.
    """
    return torch.where(selection.reshape(-1, *[1] * (scores.ndim - 1)), scores, torch.nan)
