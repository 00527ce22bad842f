"""Rows of scores over training seeds and test sequences."""

from collections.abc import Sequence
from math import inf, isinf

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics import Over, aggregate, diverged, interval_over_demonstrations, over_seeds, statistic_interval
from demograd.study.rows import SETS_FOR_SPREAD, number, over_sets, shown
from demograd.words import Row

EVERYWHERE = (-inf, inf)
NO_ERROR = 1e-6
"""Share of a network's loss under which a reference's loss is the rounding of problems in float32."""
BLOCKS = 4096
"""That are resampled at most: 2000 resamples of more take gigabytes."""


def score_row(scores: Sequence[Tensor], bounds: tuple[float, float] = EVERYWHERE) -> Row:
    """The mean of scores `[sequences]`, one tensor per seed, with its interval over seeds and sequences."""
    resampled = torch.stack([blocks(score) for score in scores])
    return over_sets([aggregate(score.double()[:, None]) for score in scores], resampled[..., None], bounds)


def loss_row(losses: Sequence[Tensor]) -> Row:
    """The same of squared errors, of which no mean is below zero."""
    return score_row(losses, (0.0, inf))


def seeds_row(values: Sequence[float], bounds: tuple[float, float] = EVERYWHERE) -> Row:
    """The mean of one number per seed, which no test sequence enters: the interval is over seeds alone."""
    # the same number for every sequence: two are what the resampling takes at least
    stacked = torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 2)
    over, interval = over_seeds(list(values)), interval_over_demonstrations(stacked) if len(values) > 2 else None
    if n_diverged := sum(map(isinf, values)):
        return Row(n=over.n, n_missing=over.n_missing, n_seeds=over.n, status=diverged(n_diverged, len(values)))
    return Row(value=number(over.mean), std=over.std, n=over.n, n_missing=over.n_missing, n_seeds=over.n) | shown(
        interval, bounds
    )


def ratio_row(above: Sequence[Tensor], below: Tensor) -> Row:
    """The mean of `above`, per seed, over the mean of `below` on the same sequences, with its interval.

    Missing where `below` is nothing but rounding beside `above`, for a ratio to that says nothing; and where a value of
    either diverged.
    """
    every = torch.cat([*above, below])
    if n_diverged := int(every.isinf().sum()):
        n_missing = sum(int((one.isinf() | below.isinf()).sum()) for one in above)
        return Row(
            n=len(below) * len(above) - n_missing,
            n_missing=n_missing,
            n_seeds=len(above),
            status=diverged(n_diverged, len(every)),
        )
    numerators, denominator = [blocks(each).numpy() for each in above], blocks(below).numpy()
    if denominator.mean() <= NO_ERROR * max(each.mean() for each in numerators):
        return Row(
            n=0, n_missing=len(below) * len(numerators), n_seeds=len(numerators), status="the reference makes no error"
        )

    def ratio(seed: int, chosen: np.ndarray) -> np.ndarray:
        return numerators[seed][chosen].mean(axis=1) / denominator[chosen].mean(axis=1)

    over = over_seeds([float(each.mean() / denominator.mean()) for each in numerators])
    unit: Over = "demonstrations" if len(numerators) >= SETS_FOR_SPREAD else "queries"
    interval = statistic_interval(ratio, len(numerators), len(denominator), over=unit)
    return Row(value=number(over.mean), std=over.std, n=len(below) * over.n, n_missing=0, n_seeds=over.n) | shown(
        interval, (0.0, inf)
    )


def blocks(scores: Float[Tensor, " sequences"]) -> Float[Tensor, " blocks"]:
    """Means of equally many neighbours, in float64: sequences are independent, so to resample blocks of them is to
    resample them. The scores themselves where they are few, or are no multiple of `BLOCKS`. A block is infinite where a
    score is."""
    several = len(scores) // BLOCKS if len(scores) % BLOCKS == 0 else 1
    grouped = scores.double().reshape(-1, several)
    return torch.where(grouped.isinf().any(dim=1), torch.inf, grouped.mean(dim=1))
