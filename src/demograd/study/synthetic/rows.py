"""Rows of networks and references: whose number it is, and its mean or ratio over training seeds and sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isinf
from statistics import median_low

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics import (
    EstimatedMean,
    aggregate,
    diverged,
    mean_of_parts,
    mean_over_seeds,
    over_seeds,
    parts_of_ratio,
)
from demograd.statistics.ranges import LEVEL
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


def score_row(scores: Sequence[Tensor], bounds: tuple[float, float] = EVERYWHERE) -> Row:
    """The mean of scores `[sequences]`, one tensor per seed, with its interval over seeds and sequences."""
    return over_sets([aggregate(score.double()[:, None]) for score in scores], torch.stack(list(scores)), bounds)


def loss_row(losses: Sequence[Tensor]) -> Row:
    """The same of squared errors, of which no mean is below zero."""
    return score_row(losses, (0.0, inf))


def seeds_row(values: Sequence[float], bounds: tuple[float, float] = EVERYWHERE) -> Row:
    """The mean of one number per seed, which no test sequence enters: the interval is over seeds alone."""
    over, mean = over_seeds(list(values)), _mean_of_seeds(values)
    interval = mean.interval(LEVEL) if mean is not None and len(values) >= SETS_FOR_SPREAD else None
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
    # of the seed in the middle: beside one that explodes on a few problems any reference would seem to make no error
    if float(below.double().mean()) <= NO_ERROR * median_low(float(of_seed.double().mean()) for of_seed in above):
        return Row(n=0, n_missing=len(below) * len(above), n_seeds=len(above), status="the reference makes no error")
    parts = _parts(above, below)
    over = over_seeds(parts.mean(axis=1).tolist())
    mean = mean_of_parts(parts, "demonstrations" if len(above) >= SETS_FOR_SPREAD else "queries")
    return Row(value=number(over.mean), std=over.std, n=len(below) * over.n, n_missing=0, n_seeds=over.n) | shown(
        None if mean is None else mean.interval(LEVEL), (0.0, inf)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRow(Row):
    """A row that a claim is decided by."""

    mean: EstimatedMean | None = None
    """Its number with its variance, from which a p-value comes; no column. None: there is no number."""


def claimed_scores(row: Row, scores: Sequence[Tensor]) -> ClaimedRow:
    """A row of `score_row(scores)`, to decide a claim by."""
    return _claimed(row, mean_over_seeds(torch.stack(list(scores))))


def claimed_seeds(row: Row, values: Sequence[float]) -> ClaimedRow:
    """A row of `seeds_row(values)`, to decide a claim by."""
    return _claimed(row, _mean_of_seeds(values))


def claimed_ratio(row: Row, above: Sequence[Tensor], below: Tensor) -> ClaimedRow:
    """A row of `ratio_row(above, below)`, to decide a claim by."""
    if row.value is None:  # a ratio to nothing, or of what diverged
        return _claimed(row, None)
    return _claimed(row, mean_of_parts(_parts(above, below), "demonstrations"))


def _claimed(row: Row, mean: EstimatedMean | None) -> ClaimedRow:
    return ClaimedRow(**{column: getattr(row, column) for column in COLUMNS}, mean=None if row.value is None else mean)


def _mean_of_seeds(values: Sequence[float]) -> EstimatedMean | None:
    """Of one number per seed: as of two sequences that are alike."""
    return mean_over_seeds(torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 2))


def _parts(above: Sequence[Tensor], below: Tensor) -> Float[np.ndarray, "seeds sequences"]:
    return parts_of_ratio(torch.stack(list(above)).double().numpy(), below.double().numpy())
