"""Matching: does fine-tuning on a set do what in-context learning does with that set, more than with another?

y_ij is the score of ICL on set i against FT on set j, of S disjoint sets of one task on common queries. If it does, the
diagonal stands out. Its mean minus that of the rest, the *specificity*, holds no main effect of a set: what makes all
scores of a set large (the size of its update, how generic it is) is in the matched and in the mismatched alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference
from demograd.statistics.crossed import pooled_mean
from demograd.statistics.pairings import (
    PairingTest,
    identified_share,
    interaction,
    pairing_test,
    pooled_pairing_test,
    without_trait,
)
from demograd.statistics.pairs import PairScores, pair_scores, products_of
from demograd.statistics.ratio import Ratio, ratio
from demograd.statistics.verdict import Interval

MARGIN = 0.1
"""The specific share up to which what is specific is as good as nothing, if a study names no other."""


@dataclass(frozen=True, eq=False)
class MatchingTest:
    """What a matrix, or several, say of specificity. Numbers are NaN, and intervals None, where nothing was tested."""

    pairs: tuple[PairScores, ...]
    """Of one matrix, or of those pooled, by query."""
    margin: float
    reason: str = ""
    """Why nothing was tested, as a clause; else empty."""
    matched: float = nan
    """Mean of y_ii."""
    mismatched: float = nan
    """Mean of y_ij, i ≠ j."""
    specificity: float = nan
    """Matched minus mismatched."""
    similarity: float = nan
    """What specificity is a share of: matched; of a double difference, the matched score before any is taken off."""
    share: float = nan
    """Specificity / similarity; NaN where that is not above zero."""
    p_value: float = nan
    """One-sided, by permutations of the pairing: of "matched is no larger than mismatched"."""
    p_opposite: float = nan
    """Of the other side: of "matched is no smaller than mismatched"."""
    trait_p_value: float = nan
    """`p_value` after the product of the main effects is taken out."""
    trait_p_opposite: float = nan
    interval: Interval | None = None
    """Of the specificity, over sets and queries. None with two sets, too, and where no set and query differs from the
    others in it by more than rounding: then nothing tells how well it is known."""
    share_interval: Interval | None = None
    """Of the share. None where that of the specificity is, and where that of the similarity is not above zero."""
    why_no_interval: str = ""
    """Why the share has none, as a clause; empty where it has one, and where nothing was tested."""
    p_equal: float = nan
    """The smallest α at which the interval of the share lies within ±margin; NaN where the specificity has none."""
    identified: float = nan
    """The share of sets that find their own in the best pairing of ICL to FT; by chance 1 / S."""

    @property
    def matrix(self) -> Float[np.ndarray, "sets sets"]:
        """y_ij, ICL on set i (rows) against FT on set j (columns).

        **Raises:** ValueError where several are pooled.
        """
        (pairs,) = self.pairs
        return pairs.matrix

    @property
    def n_sets(self) -> int:
        """Of the smallest matrix."""
        return min((pairs.n_sets for pairs in self.pairs), default=0)

    @property
    def n_queries(self) -> int:
        """That have a value of every pair of sets; of all matrices together."""
        return sum(pairs.n_queries for pairs in self.pairs)

    @property
    def n_missing(self) -> int:
        """Values that are missing, one per pair, query and layer."""
        return sum(pairs.n_missing for pairs in self.pairs)

    @property
    def p_two_sided(self) -> float:
        """Of "the pairing makes no difference"; NaN where nothing was tested."""
        return float(np.minimum(1.0, 2 * np.minimum(self.p_value, self.p_opposite)))


def match(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> MatchingTest:
    """Test whether ICL on a set is more like FT on the same set than like FT on another.

    A query counts, in a layer, where every pair of sets has a value (`pair_scores`). Initialisations that share sets
    and queries are stacked beside the layers. Nothing is tested with fewer than two sets, where a value is infinite (it
    diverged), or where no query counts; `reason` says which.

    * `p_value`: all S! pairings up to S = 8, else 20,000 seeded draws and the identity; statistic Σ y_i,π(i). It is
      about these queries, exact, and 1/S! at least.
    * `interval`: specificity is the mean of jackknife pseudo-values (leave one set out, query by query), a table of
      sets × queries, and has the interval of crossed mean squares (`crossed.py`).
    * `share_interval`: the ρ for which such an interval of specificity − ρ similarity holds zero (Fieller).
    * `trait_p_value`: of the interaction without the product of main effects (Tukey), which a trait that ICL and FT
      both follow (length, say) leaves on the diagonal.

    **Source:** Mantel 1967, "The detection of disease clustering and a generalized regression approach", for permuting
    one side of a matrix.

    **Raises:** ValueError if there are not as many sets of FT as of ICL.
    """
    return _tests([pair_scores(values)], margin, level, seed)[0]


def match_layers(
    values: Float[Tensor, "icl_sets ft_sets queries layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> list[MatchingTest]:
    """`match` of each layer alone."""
    return _tests([pair_scores(of_layer) for of_layer in values.unbind(dim=-1)], margin, level, seed)


def double_difference(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
    flipped: Float[Tensor, "icl_sets ft_sets queries *layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> MatchingTest:
    """`match` of y_ij − y′_ij, y′ with FT on flipped labels: what of specificity depends on the labels alone.

    It is a share of y_ii, not of y_ii − y′_ii: where labels do not matter, that is nothing to have a share of.
    """
    return _tests([pair_scores(difference(values, flipped), whole=values)], margin, level, seed)[0]


def pool(tests: Sequence[MatchingTest], *, margin: float = MARGIN, level: float = 0.95, seed: int = 0) -> MatchingTest:
    """One test of several matrices that share neither sets nor queries (tasks): of their mean.

    Statistic: the sum over matrices, each permuted within itself (20,000 seeded draws and the identity). Variances of
    specificity and similarity add. Nothing is tested where a matrix was not: the mean of the others would be that of a
    luckier choice. Matrices that share their sets (initialisations) are not independent: stack them, for `match`.
    """
    pairs = tuple(of_matrix for test in tests for of_matrix in test.pairs)
    reasons = [test.reason for test in tests if test.reason]
    if reasons or not tests:
        why = (
            f"{len(reasons)} of {len(tests)} matrices cannot be tested ({reasons[0]})"
            if tests
            else "there is no matrix"
        )
        return MatchingTest(pairs, margin, why)
    matrices = [of_matrix.matrix for of_matrix in pairs]
    pairing, of_rest = (pooled_pairing_test(matrices, effect, seed) for effect in (interaction, without_trait))
    return _test(pairs, pairing, of_rest, margin, level)


def share_of(test: MatchingTest, ceiling: MatchingTest, *, level: float = 0.95) -> Ratio:
    """Specificity as a share of that of a ceiling: of ICL on the reordered sets in FT's place.

    The two are of the same sets and queries, and a set is left out of both together. NaN where either was not tested.

    **Raises:** ValueError if the two are not of the same sets and queries.
    """
    shapes, ceiling_shapes = ([pairs.scores.shape for pairs in matching.pairs] for matching in (test, ceiling))
    if shapes != ceiling_shapes:
        raise ValueError(f"a share takes a ceiling of the same sets and queries, not {ceiling_shapes} for {shapes}")
    if test.reason or ceiling.reason or test.n_sets < 3:
        return Ratio(nan, None)
    share = ratio(
        [
            products_of(np.stack([pairs.specific_and_similar[0], of_ceiling.specific_and_similar[0]]))
            for pairs, of_ceiling in zip(test.pairs, ceiling.pairs, strict=True)
        ],
        level,
    )
    return share if test.interval and ceiling.interval else replace(share, interval=None)


def _tests(all_pairs: Sequence[PairScores], margin: float, level: float, seed: int) -> list[MatchingTest]:
    """Of several matrices of as many sets, each alone."""
    testable = [pairs for pairs in all_pairs if not pairs.reason]
    tests = []
    if testable:
        matrices = [pairs.matrix for pairs in testable]
        of_both = (pairing_test(matrices, effect, seed) for effect in (interaction, without_trait))
        tests = [
            _test((pairs,), pairing, of_rest, margin, level)
            for pairs, pairing, of_rest in zip(testable, *of_both, strict=True)
        ]
    remaining = iter(tests)
    return [MatchingTest((pairs,), margin, pairs.reason) if pairs.reason else next(remaining) for pairs in all_pairs]


def _test(
    pairs: tuple[PairScores, ...], pairing: PairingTest, of_rest: PairingTest, margin: float, level: float
) -> MatchingTest:
    matched, mismatched, similarity = (
        float(np.mean([getattr(of_matrix, name) for of_matrix in pairs]))
        for name in ("matched", "mismatched", "similarity")
    )
    interval, share_interval, p_equal = None, None, nan
    why_no_interval = _why_no_interval(pairs)
    if not why_no_interval:
        products = [products_of(of_matrix.specific_and_similar) for of_matrix in pairs]
        interval, share_interval = pooled_mean(products, 1.0, 0.0).interval(level), ratio(products, level).interval
        below, above = pooled_mean(products, 1.0, -margin), pooled_mean(products, 1.0, margin)
        p_equal = min(1.0, 2 * max(below.p_below(0.0), above.p_above(0.0)))
        if share_interval is None:
            why_no_interval = f"the similarity is not {'shown to be ' * (similarity > 0)}above zero"
    return MatchingTest(
        pairs,
        margin,
        matched=matched,
        mismatched=mismatched,
        specificity=matched - mismatched,
        similarity=similarity,
        share=(matched - mismatched) / similarity if similarity > 0 else nan,
        p_value=pairing.p_value,
        p_opposite=pairing.p_opposite,
        trait_p_value=of_rest.p_value,
        trait_p_opposite=of_rest.p_opposite,
        interval=interval,
        share_interval=share_interval,
        why_no_interval=why_no_interval,
        p_equal=p_equal,
        identified=float(np.mean([identified_share(of_matrix.matrix) for of_matrix in pairs])),
    )


def _why_no_interval(pairs: Sequence[PairScores]) -> str:
    """Why the specificity has none, as a clause; empty where it has one."""
    if min(of_matrix.n_sets for of_matrix in pairs) < 3:  # without one of two, there is no other to compare with
        return "there are two sets alone"
    alike = sum(not of_matrix.varies for of_matrix in pairs)
    tasks = f"in {alike} of {len(pairs)} tasks " * (len(pairs) > 1)
    return f"{tasks}all sets differ by the same amount" if alike else ""
