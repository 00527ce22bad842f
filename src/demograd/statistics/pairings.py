"""Permutations of the pairing: how many of the S! ways to pair S prompts with S fine-tunings are as good as the true
one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

ALL_PAIRINGS_UP_TO = 8
"""Sets of which all S! pairings are counted (40,320); of more, `DRAWN_PAIRINGS` and the identity."""
DRAWN_PAIRINGS = 20_000
_ROUNDING = 1e-12
"""Of the largest value: sums that are equal but for it are ties, and ties count against what is to be shown."""


@dataclass(frozen=True)
class PairingTest:
    """One-sided p-values of "the pairing makes no difference"."""

    p_value: float
    """The share of pairings whose sum is as large as the true one's, or larger."""
    p_opposite: float
    """The share whose sum is as small, or smaller."""


def pairing_test(interactions: Float[np.ndarray, "sets sets layers"], seed: int) -> list[PairingTest]:
    """The test of the sum over the diagonal, in each layer; of matrices without their main effects, which are the same
    in every pairing."""
    sums = _sums(interactions, seed).T
    return [
        _compared(of_layer, _rounding(x)) for of_layer, x in zip(sums, np.moveaxis(interactions, 2, 0), strict=True)
    ]


def pooled_pairing_test(interactions: Sequence[Float[np.ndarray, "_sets _sets"]], seed: int) -> PairingTest:
    """The test of the sum over several matrices, each permuted within itself, by `DRAWN_PAIRINGS` draws."""
    generator, pooled = np.random.default_rng([seed, 2]), np.zeros(DRAWN_PAIRINGS + 1)
    for matrix in interactions:
        sums = _sums(matrix[:, :, None], seed)[:, 0]
        pooled += sums[np.concatenate([[0], generator.integers(len(sums), size=DRAWN_PAIRINGS)])]
    return _compared(pooled, sum(map(_rounding, interactions)))


def interaction(matrices: Float[np.ndarray, "sets sets *layers"]) -> Float[np.ndarray, "sets sets *layers"]:
    """y_ij without the main effects of i and of j: how large each set's update is, and how generic."""
    rows, columns = matrices.mean(axis=1, keepdims=True), matrices.mean(axis=0, keepdims=True)
    return matrices - rows - columns + rows.mean(axis=0, keepdims=True)


def without_trait(matrices: Float[np.ndarray, "sets sets *layers"]) -> Float[np.ndarray, "sets sets *layers"]:
    """The interaction without what is proportional to the product of the main effects of i and j, by least squares.

    If ICL and FT both follow one trait of the sets (their length, say), y_ij contains the product of its values, which
    is largest on the diagonal though nothing else about the sets is shared.

    **Source:** Tukey 1949, "One degree of freedom for non-additivity".
    """
    of_all = matrices.mean(axis=(0, 1), keepdims=True)
    product = (matrices.mean(axis=1, keepdims=True) - of_all) * (matrices.mean(axis=0, keepdims=True) - of_all)
    rest = interaction(matrices)
    square = (product**2).sum(axis=(0, 1))
    slope = np.divide((rest * product).sum(axis=(0, 1)), square, out=np.zeros_like(square), where=square > 0)
    return rest - slope * product


def identified_share(interaction: Float[np.ndarray, "sets sets"]) -> float:
    """The share of sets that the best pairing (Σ y_i,π(i) largest) gives to themselves; by chance one of them.

    Ties count as not identified.
    """
    n_sets = len(interaction)
    _, columns = linear_sum_assignment(interaction - _rounding(interaction) * np.eye(n_sets), maximize=True)
    return float(np.mean(columns == np.arange(n_sets)))


@lru_cache(maxsize=8)
def _pairings(n_sets: int, seed: int) -> Int[np.ndarray, "pairings sets"]:
    """The identity first."""
    if n_sets <= ALL_PAIRINGS_UP_TO:
        return np.fromiter(permutations(range(n_sets)), np.dtype((np.intp, n_sets)), factorial(n_sets))
    drawn = np.random.default_rng(seed).permuted(np.tile(np.arange(n_sets), (DRAWN_PAIRINGS, 1)), axis=1)
    return np.concatenate([np.arange(n_sets)[None], drawn])


def _sums(interactions: Float[np.ndarray, "sets sets layers"], seed: int) -> Float[np.ndarray, "pairings layers"]:
    """Σ y_i,π(i) of each pairing π."""
    pairings = _pairings(len(interactions), seed)
    sums = np.zeros((len(pairings), interactions.shape[2]))
    for row, columns in zip(interactions, pairings.T, strict=True):
        sums += row[columns]
    return sums


def _compared(sums: Float[np.ndarray, " pairings"], rounding: float) -> PairingTest:
    """The true pairing, which comes first, with all."""
    actual = sums[0]
    return PairingTest(float(np.mean(sums >= actual - rounding)), float(np.mean(sums <= actual + rounding)))


def _rounding(interaction: Float[np.ndarray, "sets sets"]) -> float:
    return _ROUNDING * len(interaction) * float(np.abs(interaction).max())
