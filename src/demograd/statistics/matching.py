"""Matching: does fine-tuning on a set do what in-context learning does with that set, more than with another?

y_ij is the score of ICL on set i against FT on set j, of S disjoint sets of one task on common queries. If it does, the
diagonal stands out. Its mean minus that of the rest, the *specificity*, holds no main effect of a set: what makes all
scores of a set large (the size of its update, how generic it is) is in the matched and in the mismatched alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference, diverged
from demograd.statistics.crossed import CrossedProducts, crossed_products, pooled_mean
from demograd.statistics.pairings import (
    PairingTest,
    identified_share,
    interaction,
    pairing_test,
    pooled_pairing_test,
    without_trait,
)
from demograd.statistics.ratio import Ratio, ratio
from demograd.statistics.verdict import Interval

MARGIN = 0.1
"""The specific share that is still as good as none."""


@dataclass(frozen=True, eq=False)
class MatchingTest:
    """What a matrix, or several, say of specificity. Numbers are NaN, and intervals None, where there is none."""

    matrices: tuple[Float[np.ndarray, "_sets _sets"], ...]
    """y_ij, ICL on set i (rows) against FT on set j (columns): means over queries, then layers; one, or those pooled."""
    matched: float
    """Mean of y_ii."""
    mismatched: float
    """Mean of y_ij, i ≠ j."""
    specificity: float
    """Matched minus mismatched."""
    share: float
    """Specificity / matched; NaN where matched is not above zero."""
    p_value: float
    """One-sided, by permutations of the pairing: of "matched is no larger than mismatched"."""
    p_opposite: float
    """Of the other side: of "matched is no smaller than mismatched"."""
    trait_p_value: float
    """`p_value` after the product of the main effects is taken out."""
    trait_p_opposite: float
    interval: Interval | None
    """Of the specificity, over sets and queries: t, of leave-one-set-out pseudo-values. None with two sets."""
    share_interval: Interval | None
    """Of the share, in the same way (Fieller). None where the interval of matched is not above zero."""
    p_equal: float
    """The smallest α at which the interval of the share lies within ±margin."""
    margin: float
    identified: float
    """The share of sets that find their own in the best pairing of ICL to FT; by chance 1 / S."""
    n_sets: int
    """Of the smallest matrix."""
    n_queries: int
    """That have a value of every pair of sets; of several matrices together."""
    n_missing: int
    """Values that are missing."""
    reason: str = ""
    """Why nothing was tested, as a clause; else empty."""
    pseudo_values: tuple[Float[np.ndarray, "2 _sets _queries"], ...] = ()
    """Of specificity and matched, by matrix: each set's and query's part of them, whose mean they are. NaN where a
    query does not count."""

    @property
    def matrix(self) -> Float[np.ndarray, "sets sets"]:
        """The only matrix.

        **Raises:** ValueError where several are pooled.
        """
        (matrix,) = self.matrices
        return matrix

    @property
    def p_two_sided(self) -> float:
        """Of "the pairing makes no difference"."""
        return min(1.0, 2 * min(self.p_value, self.p_opposite))


def match(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> MatchingTest:
    """Test whether ICL on a set is more like FT on the same set than like FT on another.

    A query counts, in a layer, where every pair of sets has a value (NaN is missing): otherwise pairs would be means
    over different queries, and what makes a query easy would not cancel. Initialisations that share sets and queries
    are stacked beside the layers. Nothing is tested with fewer than two sets, where a value is infinite (it diverged),
    or where no query counts; `reason` says which.

    * `p_value`: all S! pairings up to S = 8, else 20,000 seeded draws and the identity; statistic Σ y_i,π(i). It asks
      of these queries, and is exact if the pairing makes no difference. Least value 1/S!.
    * `interval`: specificity is the mean of pseudo-values, S D_q − (S − 1) D_q without set i, of set i and query q,
      which is a table of sets × queries with crossed mean squares (`crossed.py`).
    * `share_interval`: the values ρ for which such an interval of specificity − ρ matched holds zero (Fieller 1954).

    **Source:** Mantel 1967, for permuting a matrix's rows against its columns; Tukey 1949, for the trait check;
    Arvesen 1969, "Jackknifing U-statistics", for the pseudo-values.

    **Raises:** ValueError if there are not as many sets of FT as of ICL.
    """
    return _tests([_table(_by_pair(values))], margin, level, seed)[0]


def match_layers(
    values: Float[Tensor, "icl_sets ft_sets queries layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> list[MatchingTest]:
    """`match` of each layer alone."""
    scores = _by_pair(values)
    tables = [_table(scores[..., layer : layer + 1]) for layer in range(scores.shape[-1])]
    return _tests(tables, margin, level, seed)


def double_difference(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
    flipped: Float[Tensor, "icl_sets ft_sets queries *layers"],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    seed: int = 0,
) -> MatchingTest:
    """`match` of y_ij − y′_ij, y′ with FT on flipped labels: what of specificity depends on the labels alone."""
    return match(difference(values, flipped), margin=margin, level=level, seed=seed)


def pool(tests: Sequence[MatchingTest], *, margin: float = MARGIN, level: float = 0.95, seed: int = 0) -> MatchingTest:
    """One test of several matrices that share neither sets nor queries (tasks): their mean.

    Statistic: the sum over matrices, each permuted within itself (20,000 seeded draws and the identity). Variances of
    specificity and matched add. Nothing is tested where a matrix was not: the mean of the others is that of a luckier
    choice. Matrices that do share their sets (initialisations) are no independent evidence: stack them, for `match`.
    """
    n_missing, n_queries = sum(test.n_missing for test in tests), sum(test.n_queries for test in tests)
    n_sets, matrices = min((test.n_sets for test in tests), default=0), sum((test.matrices for test in tests), ())
    reasons = [test.reason for test in tests if test.reason]
    if reasons or not tests:
        why = f"{len(reasons)} of {len(tests)} matrices cannot be tested ({reasons[0]})" if tests else "nothing to pool"
        return _untested(matrices, n_sets, n_queries, n_missing, why, margin)
    pairings, of_rest = (
        pooled_pairing_test([part(matrix) for matrix in matrices], seed) for part in (interaction, without_trait)
    )
    pseudo_values = sum((test.pseudo_values for test in tests), ())
    counts = n_sets, n_queries, n_missing
    return _test(matrices, pseudo_values, pairings, of_rest, 0, counts, margin, level)


def share_of(test: MatchingTest, ceiling: MatchingTest, *, level: float = 0.95) -> Ratio:
    """Specificity as a share of that of a ceiling (ICL on the reordered sets in FT's place) on the same sets and
    queries, both of which are left out of the two together.

    **Raises:** ValueError if the two are not of the same sets and queries.
    """
    shapes, of_ceiling = ([values.shape for values in each.pseudo_values] for each in (test, ceiling))
    if shapes != of_ceiling:
        raise ValueError(f"a share takes a ceiling of the same sets and queries: {shapes} against {of_ceiling}")
    if test.reason or ceiling.reason:
        return Ratio(nan, None)
    both = [np.stack([a[0], b[0]]) for a, b in zip(test.pseudo_values, ceiling.pseudo_values, strict=True)]
    return ratio([_products(pseudo_values) for pseudo_values in both], level)


@dataclass(frozen=True, eq=False)
class _Table:
    """Each pair's score on each query, averaged over layers."""

    scores: Float[np.ndarray, "sets sets queries"]
    """NaN where a query does not count."""
    n_missing: int
    reason: str


def _by_pair(values: Float[Tensor, "icl_sets ft_sets queries *layers"]) -> Float[np.ndarray, "sets sets queries flat"]:
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"matching takes as many sets of FT as of ICL, not {values.shape[1]} of {values.shape[0]}")
    return values.reshape(*values.shape[:3], -1 if values.numel() else 0).detach().cpu().double().numpy()


def _table(scores: Float[np.ndarray, "sets sets queries layers"]) -> _Table:
    n_sets, n_missing = len(scores), int(np.isnan(scores).sum())
    counts = np.isfinite(scores).all(axis=(0, 1))  # queries × layers
    n_queries, n_layers = int(counts.any(axis=1).sum()), int(counts.any(axis=0).sum())
    # the mean over queries is that over queries, then layers, also where layers have different queries
    weights = counts * n_queries / np.maximum(counts.sum(axis=0) * n_layers, 1)
    by_query = np.einsum("ijql,ql->ijq", np.where(counts, scores, 0.0), weights)
    by_query[:, :, ~counts.any(axis=1)] = np.nan
    return _Table(by_query, n_missing, _why_not(scores, n_queries) if n_sets > 1 else _too_few(n_sets))


def _too_few(n_sets: int) -> str:
    return f"matching takes two sets at least, and there {'is one' if n_sets == 1 else 'are none'}"


def _why_not(scores: Float[np.ndarray, "sets sets queries layers"], n_queries: int) -> str:
    if n_diverged := int(np.isinf(scores).sum()):
        return diverged(n_diverged, scores.size)
    if n_queries:
        return ""
    present = ~np.isnan(scores)
    for setting, axes in (("in-context learning", (1, 2, 3)), ("fine-tuning", (0, 2, 3))):
        empty = np.flatnonzero(~present.any(axis=axes))
        if 0 < len(empty) < len(scores):
            sets = f"set{'s' * (len(empty) > 1)} {', '.join(str(index) for index in empty)}"
            return f"{setting} on {sets} (counted from 0) has no value"
    return "no query has a value for every pair of sets"


def _tests(tables: Sequence[_Table], margin: float, level: float, seed: int) -> list[MatchingTest]:
    testable = [table for table in tables if not table.reason]
    if testable:
        matrices = np.stack([_mean(table.scores) for table in testable], axis=-1)
        pairings, of_rest = (pairing_test(part(matrices), seed) for part in (interaction, without_trait))
    tests, place = [], 0
    for table in tables:
        matrix, n_sets = _mean(table.scores), len(table.scores)
        n_queries = int((~np.isnan(table.scores)).all(axis=(0, 1)).sum()) if n_sets else 0
        if table.reason:
            tests.append(_untested((matrix,), n_sets, n_queries, table.n_missing, table.reason, margin))
            continue
        counts = n_sets, n_queries, table.n_missing
        pseudo_values = (_pseudo_values(table.scores),)
        tests.append(_test((matrix,), pseudo_values, pairings, of_rest, place, counts, margin, level))
        place += 1
    return tests


def _mean(scores: Float[np.ndarray, "sets sets queries"]) -> Float[np.ndarray, "sets sets"]:
    """Over the queries that count."""
    counts = ~np.isnan(scores).any(axis=(0, 1))
    return scores[:, :, counts].mean(axis=2) if counts.any() else np.full(scores.shape[:2], np.nan)


def _untested(
    matrices: tuple[Float[np.ndarray, "_sets _sets"], ...],
    n_sets: int,
    n_queries: int,
    n_missing: int,
    reason: str,
    margin: float,
) -> MatchingTest:
    p_values = dict(p_value=nan, p_opposite=nan, trait_p_value=nan, trait_p_opposite=nan, p_equal=nan)
    means = dict(matched=nan, mismatched=nan, specificity=nan, share=nan, identified=nan)
    return MatchingTest(
        matrices,
        **means,
        **p_values,
        interval=None,
        share_interval=None,
        margin=margin,
        n_sets=n_sets,
        n_queries=n_queries,
        n_missing=n_missing,
        reason=reason,
    )


def _test(
    matrices: tuple[Float[np.ndarray, "_sets _sets"], ...],
    pseudo_values: tuple[Float[np.ndarray, "2 _sets _queries"], ...],
    pairings: PairingTest,
    of_rest: PairingTest,
    place: int,
    counts: tuple[int, int, int],
    margin: float,
    level: float,
) -> MatchingTest:
    matched = float(np.mean([np.trace(matrix) / len(matrix) for matrix in matrices]))
    mismatched = float(
        np.mean([(matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix)) for matrix in matrices])
    )
    share, interval, p_equal = Ratio(nan, None), None, nan
    if min(map(len, matrices)) > 2:
        independent = [_products(values) for values in pseudo_values]
        share, interval = ratio(independent, level), pooled_mean(independent, 1, 0).interval(level)
        p_equal = 2 * max(
            pooled_mean(independent, 1, -margin).p_below(0), pooled_mean(independent, 1, margin).p_above(0)
        )
    n_sets, n_queries, n_missing = counts
    return MatchingTest(
        matrices,
        matched,
        mismatched,
        specificity=matched - mismatched,
        share=(matched - mismatched) / matched if matched > 0 else nan,
        p_value=float(pairings.p_value[place]),
        p_opposite=float(pairings.p_opposite[place]),
        trait_p_value=float(of_rest.p_value[place]),
        trait_p_opposite=float(of_rest.p_opposite[place]),
        interval=interval,
        share_interval=share.interval,
        p_equal=min(1.0, p_equal),
        margin=margin,
        identified=float(np.mean([identified_share(interaction(matrix)) for matrix in matrices])),
        n_sets=n_sets,
        n_queries=n_queries,
        n_missing=n_missing,
        pseudo_values=pseudo_values,
    )


def _pseudo_values(scores: Float[np.ndarray, "sets sets queries"]) -> Float[np.ndarray, "2 sets queries"]:
    """Of specificity and matched: S θ_q − (S − 1) θ_q without set i."""
    n_sets = len(scores)
    matched = np.einsum("iiq->iq", scores)
    if n_sets == 2:  # without a set there is no other to compare with
        return np.full((2, *matched.shape), np.nan)
    of_set = scores.sum(axis=0) + scores.sum(axis=1) - 2 * matched
    of_all = of_set.sum(axis=0) / 2
    mismatched = of_all / (n_sets - 1) - (of_all - of_set) / (n_sets - 2)
    return np.stack([matched - mismatched, matched])


def _products(pseudo_values: Float[np.ndarray, "2 sets queries"]) -> CrossedProducts:
    return crossed_products(pseudo_values[:, :, ~np.isnan(pseudo_values).any(axis=(0, 1))])
