"""Scores of every pair of sets, ICL on one against FT on the other, by query: the matrix, and what a set and a query
contribute to its specificity."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import diverged
from demograd.statistics.crossed import CrossedProducts, crossed_products

ROUNDING = 2**-23
"""Of the largest value: scores are in float32. A pseudo-value multiplies it by the number of sets."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """y_ijq of ICL on set i (rows) against FT on set j (columns) on query q, averaged over layers."""

    scores: Float[np.ndarray, "sets sets queries"]
    """NaN where a query does not count, for some pair has no value."""
    n_missing: int
    """Values that are missing, one per pair, query and layer."""
    reason: str = ""
    """Why they cannot be tested, as a clause; else empty."""
    similarities: Float[np.ndarray, "sets queries"] | None = None
    """What specificity is a share of, where that is not the matched scores themselves; NaN as there."""

    @property
    def n_sets(self) -> int:
        return len(self.scores)

    @cached_property
    def n_queries(self) -> int:
        """That count."""
        return self._counted.shape[2]

    @cached_property
    def matrix(self) -> Float[np.ndarray, "sets sets"]:
        """y_ij, over the queries that count."""
        return self._counted.mean(axis=2) if self.n_queries else np.full(self.scores.shape[:2], np.nan)

    @cached_property
    def matched(self) -> float:
        return float(np.trace(self.matrix)) / self.n_sets

    @cached_property
    def mismatched(self) -> float:
        return float(self.matrix.sum() - np.trace(self.matrix)) / (self.n_sets * (self.n_sets - 1))

    @cached_property
    def similarity(self) -> float:
        """What specificity is a share of: matched, if nothing else was named."""
        return self.matched if self.similarities is None else float(np.nanmean(self.similarities))

    @cached_property
    def specific_and_similar(self) -> Float[np.ndarray, "2 sets queries"]:
        """Jackknife pseudo-values S θ_q − (S − 1) θ_q without set i, θ the specificity and the similarity that it is a
        share of: tables of sets × queries, whose means they are. Of three sets or more; NaN where a query does not
        count.

        **Source:** Arvesen 1969, "Jackknifing U-statistics".
        """
        matched = np.einsum("iiq->iq", self.scores)
        of_set = self.scores.sum(axis=0) + self.scores.sum(axis=1) - 2 * matched
        of_all = of_set.sum(axis=0) / 2
        mismatched = of_all / (self.n_sets - 1) - (of_all - of_set) / (self.n_sets - 2)
        similar = matched if self.similarities is None else self.similarities
        return np.stack([matched - mismatched, similar])

    @cached_property
    def varies(self) -> bool:
        """Whether the specificity of a set and query differs from that of others by more than rounding. Of three sets
        or more."""
        specific, similar = self.specific_and_similar
        largest = max(float(np.nanmax(np.abs(values))) for values in (self.scores, similar))
        return float(np.nanmax(specific) - np.nanmin(specific)) > self.n_sets * ROUNDING * largest

    @property
    def _counted(self) -> Float[np.ndarray, "sets sets counted"]:
        return self.scores[:, :, ~np.isnan(self.scores).any(axis=(0, 1))]


def pair_scores(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
    whole: Float[Tensor, "icl_sets ft_sets queries *layers"] | None = None,
) -> PairScores:
    """The mean over layers. A query counts, in a layer, where every pair of sets has a value (NaN is missing):
    otherwise pairs would be means over different queries, and what makes a query easy would not cancel.

    Args:
        values: the scores.
        whole: other scores, present where these are, of whose diagonal specificity is a share.

    **Raises:** ValueError if there are not as many sets of FT as of ICL.
    """
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"matching takes as many sets of FT as of ICL, not {values.shape[1]} of {values.shape[0]}")
    x = _with_layers(values)
    counts = np.isfinite(x).all(axis=(0, 1))  # queries × layers
    n_queries, n_layers = int(counts.any(axis=1).sum()), int(counts.any(axis=0).sum())
    # so that the mean over queries is that over queries, then layers, also where layers have different queries
    weights = counts * n_queries / np.maximum(counts.sum(axis=0) * n_layers, 1)

    def over_layers(scores: Float[np.ndarray, "sets sets queries layers"]) -> Float[np.ndarray, "sets sets queries"]:
        by_query = np.einsum("ijql,ql->ijq", np.where(counts, scores, 0.0), weights)
        by_query[:, :, ~counts.any(axis=1)] = np.nan
        return by_query

    similarities = None if whole is None else np.einsum("iiq->iq", over_layers(_with_layers(whole)))
    return PairScores(over_layers(x), int(np.isnan(x).sum()), _why_not(x, n_queries), similarities)


def products_of(tables: Float[np.ndarray, "tables sets queries"]) -> CrossedProducts:
    """Of tables of pseudo-values, over the queries that count for all."""
    return crossed_products(tables[:, :, ~np.isnan(tables).any(axis=(0, 1))])


def _with_layers(
    values: Float[Tensor, "icl_sets ft_sets queries *layers"],
) -> Float[np.ndarray, "icl_sets ft_sets queries flat"]:
    """In float64, with one dimension of layers."""
    return values.reshape(*values.shape[:3], -1 if values.numel() else 0).detach().cpu().double().numpy()


def _why_not(x: Float[np.ndarray, "sets sets queries layers"], n_queries: int) -> str:
    if len(x) < 2:
        return f"matching takes two sets at least, and there {'is one' if len(x) else 'are none'}"
    if n_diverged := int(np.isinf(x).sum()):
        return diverged(n_diverged, x.size)
    if n_queries:
        return ""
    present = ~np.isnan(x)
    for setting, axes in (("in-context learning", (1, 2, 3)), ("fine-tuning", (0, 2, 3))):
        empty = np.flatnonzero(~present.any(axis=axes))
        if 0 < len(empty) < len(x):
            places = ", ".join(str(place + 1) for place in empty)
            return f"{setting} on set{'s' * (len(empty) > 1)} {places} of {len(x)} has no value"
    return "no query has a value for every pair of sets"
