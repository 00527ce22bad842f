"""Rows of networks and references: whose number it is, and its mean or ratio over training seeds and sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isinf

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics import (
    Over,
    ResampledMean,
    aggregate,
    diverged,
    interval_over_demonstrations,
    over_seeds,
    statistic_interval,
)
from demograd.statistics.bootstrap import resample_means, resample_ratios
from demograd.statistics.intervals import mean_over_seeds
from demograd.study.rows import SETS_FOR_SPREAD, number, over_sets, shown
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.units import Trained
from demograd.synthetic import SmallTransformer
from demograd.words import COLUMNS, Row, Setting, Weights


def of_network(name: str) -> Row:
    """A trained network's, by its name in the study."""
    return Row(model=name, weights=Weights.TRAINED, setting=Setting.TF)


def of_reference(reference: Tuned) -> Row:
    """A reference's."""
    return Row(setting=Setting.REFERENCE, method=reference.label)


def failed_row(network: str, by_seed: Mapping[int, Trained]) -> Row | None:
    """That a network diverged from some seeds, and so has no loss over seeds; None where it did from none.

    The mean over the seeds that went well would be that of another, luckier network.
    """
    status = why_failed(by_seed)
    if not status:
        return None
    return replace(of_network(network), metric="loss", n_seeds=len(by_seed), status=status)


def why_failed(by_seed: Mapping[int, Trained]) -> str:
    """`diverged at step 9 (2 of 5 seeds)`; empty where it did from none."""
    failed = [trained.status for trained in by_seed.values() if trained.status != "ok"]
    return f"{failed[0]} ({len(failed)} of {len(by_seed)} seeds)" if failed else ""


def finished_networks(networks: Mapping[str, Mapping[int, Trained]]) -> dict[str, list[SmallTransformer]]:
    """The networks that diverged from no seed, in the order of seeds."""
    transformers = {
        name: [trained.network for trained in by_seed.values() if trained.network is not None]
        for name, by_seed in networks.items()
    }
    return {name: of_network for name, of_network in transformers.items() if len(of_network) == len(networks[name])}


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
    losses = torch.cat([*above, below])
    if n_diverged := int(losses.isinf().sum()):
        n_missing = sum(int((of_seed.isinf() | below.isinf()).sum()) for of_seed in above)
        return Row(
            n=len(below) * len(above) - n_missing,
            n_missing=n_missing,
            n_seeds=len(above),
            status=diverged(n_diverged, len(losses)),
        )
    numerators, denominator = [blocks(of_seed).numpy() for of_seed in above], blocks(below).numpy()
    if denominator.mean() <= NO_ERROR * max(of_seed.mean() for of_seed in numerators):
        return Row(
            n=0, n_missing=len(below) * len(numerators), n_seeds=len(numerators), status="the reference makes no error"
        )

    def ratio(seed: int, chosen: np.ndarray) -> np.ndarray:
        return numerators[seed][chosen].mean(axis=1) / denominator[chosen].mean(axis=1)

    over = over_seeds([float(of_seed.mean() / denominator.mean()) for of_seed in numerators])
    unit: Over = "demonstrations" if len(numerators) >= SETS_FOR_SPREAD else "queries"
    interval = statistic_interval(ratio, len(numerators), len(denominator), over=unit)
    return Row(value=number(over.mean), std=over.std, n=len(below) * over.n, n_missing=0, n_seeds=over.n) | shown(
        interval, (0.0, inf)
    )


def blocks(scores: Float[Tensor, " sequences"], n_blocks: int = BLOCKS) -> Float[Tensor, " blocks"]:
    """Means of equally many neighbours, in float64: sequences are independent, so to resample blocks of them is to
    resample them. The scores themselves where they are few, or no multiple of `n_blocks`. A block is infinite where a
    score is."""
    several = len(scores) // n_blocks if len(scores) % n_blocks == 0 else 1
    grouped = scores.double().reshape(-1, several)
    return torch.where(grouped.isinf().any(dim=1), torch.inf, grouped.mean(dim=1))


CLAIM_RESAMPLES = 20_000
"""More than for intervals in tables: a p-value that is corrected for many statements must be able to be small."""
CLAIM_BLOCKS = (512, 128)
"""At most and at least so many: so few that so many resamples of them fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRow(Row):
    """A row that a claim is decided by."""

    mean: ResampledMean | None = None
    """Its number with all resamples, from which a p-value comes; no column. None: there is no number."""


def claimed_scores(row: Row, scores: Sequence[Tensor]) -> ClaimedRow:
    """A row of `score_row(scores)`, to decide a claim by."""
    values = torch.stack([_claim_blocks(score) for score in scores])[..., None]
    return _claimed(row, mean_over_seeds(resample_means(values, CLAIM_RESAMPLES, 0), "demonstrations"))


def claimed_seeds(row: Row, values: Sequence[float]) -> ClaimedRow:
    """A row of `seeds_row(values)`, to decide a claim by."""
    stacked = torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 2)
    return _claimed(row, mean_over_seeds(resample_means(stacked, CLAIM_RESAMPLES, 0), "demonstrations"))


def claimed_ratio(row: Row, above: Sequence[Tensor], below: Tensor) -> ClaimedRow:
    """A row of `ratio_row(above, below)`, to decide a claim by."""
    if row.value is None:  # a ratio to nothing, or of what diverged
        return _claimed(row, None)
    numerators = torch.stack([_claim_blocks(losses) for losses in above]).numpy()
    ratios = resample_ratios(numerators, _claim_blocks(below).numpy(), CLAIM_RESAMPLES, 0)
    return _claimed(row, mean_over_seeds(ratios, "demonstrations"))


def _claimed(row: Row, mean: ResampledMean | None) -> ClaimedRow:
    return ClaimedRow(**{column: getattr(row, column) for column in COLUMNS}, mean=None if row.value is None else mean)


def _claim_blocks(scores: Float[Tensor, " sequences"]) -> Float[Tensor, " blocks"]:
    """Scores in as many equal blocks as divide them, which are few; of a number that none divides, the last are left
    out. Where a score is missing, as a cosine may be of the few that are measured, blocks would lose their others."""
    most, least = CLAIM_BLOCKS
    if len(scores) <= most or scores.isnan().any():
        return blocks(scores, len(scores))
    n_blocks = next((n for n in range(most, least - 1, -1) if len(scores) % n == 0), most)
    return blocks(scores[: len(scores) // n_blocks * n_blocks], n_blocks)
