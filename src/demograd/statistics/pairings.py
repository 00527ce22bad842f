"""Permutations of the pairing: how many ways of giving S fine-tunings to S prompts match them as well as the true one."""

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


@dataclass(frozen=True, eq=False)
class PairingTest:
    """One-sided p-values of each layer, of "the pairing makes no difference"."""

    p_value: Float[np.ndarray, " layers"]
    """The share of pairings whose sum is as large as the true one's, or larger."""
    p_opposite: Float[np.ndarray, " layers"]
    """The share whose sum is as small, or smaller."""


def pairing_test(interactions: Float[np.ndarray, "sets sets layers"], seed: int) -> PairingTest:
    """The test of the sum over the diagonal, in each layer; of matrices without their main effects, which are the same
    in every pairing."""
    sums = _sums(interactions, seed)
    return _compared(sums[0], sums, _rounding(interactions))


def pooled_pairing_test(interactions: Sequence[Float[np.ndarray, "sets sets"]], seed: int) -> PairingTest:
    """The test of the sum over several matrices, each permuted within itself, by `DRAWN_PAIRINGS` draws."""
    generator = np.random.default_rng([seed, 2])
    actual, drawn, rounding = 0.0, np.zeros(DRAWN_PAIRINGS), 0.0
    for interaction in interactions:
        sums = _sums(interaction[:, :, None], seed)[:, 0]
        actual += sums[0]
        drawn += sums[generator.integers(len(sums), size=DRAWN_PAIRINGS)]
        rounding += _rounding(interaction)
    return _compared(np.array([actual]), np.concatenate([[actual], drawn])[:, None], rounding)


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


def _compared(
    actual: Float[np.ndarray, " layers"], sums: Float[np.ndarray, "pairings layers"], rounding: float
) -> PairingTest:
    return PairingTest((sums >= actual - rounding).mean(axis=0), (sums <= actual + rounding).mean(axis=0))


def _rounding(interactions: Float[np.ndarray, "sets sets *layers"]) -> float:
    return _ROUNDING * len(interactions) * float(np.abs(interactions).max(initial=0.0))
