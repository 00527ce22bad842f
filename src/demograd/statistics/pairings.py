"""Permutations of the pairing: how many of the S! ways to pair S prompts with S fine-tunings are as good as the true
one."""

from collections.abc import Callable, Sequence
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
"""Per set, of the largest value: sums that differ by less are ties, which count against what is to be shown."""


@dataclass(frozen=True)
class PairingTest:
    """One-sided p-values of "the pairing makes no difference"."""

    p_value: float
    """The share of pairings whose sum is as large as the true one's, or larger."""
    p_opposite: float
    """The share whose sum is as small, or smaller."""


Effect = Callable[[Float[np.ndarray, "sets sets"]], Float[np.ndarray, "sets sets"]]
"""`interaction` or `without_trait`: what of a matrix is permuted."""


def pairing_test(matrices: Sequence[Float[np.ndarray, "sets sets"]], effect: Effect, seed: int) -> list[PairingTest]:
    """The test of the sum over the diagonal, of each of several matrices of as many sets."""
    sums = _sums(np.stack([effect(matrix) for matrix in matrices], axis=-1), seed)
    return [_compared(of_matrix, _rounding(matrix)) for of_matrix, matrix in zip(sums.T, matrices, strict=True)]


def pooled_pairing_test(matrices: Sequence[Float[np.ndarray, "_sets _sets"]], effect: Effect, seed: int) -> PairingTest:
    """The test of the sum over several matrices, each permuted within itself, by `DRAWN_PAIRINGS` draws."""
    generator, pooled = np.random.default_rng([seed, 2]), np.zeros(DRAWN_PAIRINGS + 1)
    for matrix in matrices:
        sums = _sums(effect(matrix)[:, :, None], seed)[:, 0]
        pooled += sums[np.concatenate([[0], generator.integers(len(sums), size=DRAWN_PAIRINGS)])]
    return _compared(pooled, sum(map(_rounding, matrices)))


def interaction(matrix: Float[np.ndarray, "sets sets"]) -> Float[np.ndarray, "sets sets"]:
    """y_ij without the main effects of i and of j, whose sum is the same in every pairing."""
    rows, columns = _main_effects(matrix)
    return matrix - matrix.mean() - rows - columns


def without_trait(matrix: Float[np.ndarray, "sets sets"]) -> Float[np.ndarray, "sets sets"]:
    """The interaction without what is proportional to the product of the main effects of i and j, by least squares.

    If ICL and FT both follow one trait of the sets (their length, say), y_ij contains the product of its values, which
    is largest on the diagonal though nothing else about the sets is shared.

    **Source:** Tukey 1949, "One degree of freedom for non-additivity".
    """
    rows, columns = _main_effects(matrix)
    product, rest = rows * columns, interaction(matrix)
    square = float(np.sum(product**2))
    return rest - np.sum(rest * product) / square * product if square else rest


def identified_share(matrix: Float[np.ndarray, "sets sets"]) -> float:
    """The share of sets that the best pairing (Σ y_i,π(i) largest) gives to themselves; by chance one of them.

    Ties count as not identified.
    """
    n_sets = len(matrix)
    _, columns = linear_sum_assignment(interaction(matrix) - _rounding(matrix) * np.eye(n_sets), maximize=True)
    return float(np.mean(columns == np.arange(n_sets)))


def _main_effects(
    matrix: Float[np.ndarray, "sets sets"],
) -> tuple[Float[np.ndarray, "sets 1"], Float[np.ndarray, "1 sets"]]:
    return matrix.mean(axis=1, keepdims=True) - matrix.mean(), matrix.mean(axis=0, keepdims=True) - matrix.mean()


@lru_cache(maxsize=8)
def _pairings(n_sets: int, seed: int) -> Int[np.ndarray, "pairings sets"]:
    """The identity first."""
    if n_sets <= ALL_PAIRINGS_UP_TO:
        return np.fromiter(permutations(range(n_sets)), np.dtype((np.intp, n_sets)), factorial(n_sets))
    shuffled = np.random.default_rng(seed).permuted(np.tile(np.arange(n_sets), (DRAWN_PAIRINGS, 1)), axis=1)
    return np.concatenate([np.arange(n_sets)[None], shuffled])


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


def _rounding(matrix: Float[np.ndarray, "sets sets"]) -> float:
    return _ROUNDING * len(matrix) * float(np.abs(matrix).max())
