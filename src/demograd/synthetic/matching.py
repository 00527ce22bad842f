"""Matching in worlds where it is known what in-context learning does: the positive control of matching on language
models, with the same statistics (`demograd.statistics.match`).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from demograd.synthetic.comparison import Learner, infinite_if_undefined, sensitivity
from demograd.synthetic.sequences import Sequences


def matching_scores(
    learner: Learner, reference: Learner, sets: Sequences, queries: Float[Tensor, "queries inputs"]
) -> Float[Tensor, "sets sets queries"]:
    """cos(∂ŷ_i/∂x, ∂ŷ′_j/∂x) at every query's x: what a learner has learned from set i, against what a reference (a
    step of gradient descent, say) has learned from set j.

    With one output ∂ŷ/∂x are the weights of the rule that was learned, and without examples they are zero: the cosine
    is that of two updates, as SimAOU is. NaN (missing) where a learner's prediction does not depend on x; infinite
    where one diverged.

    Args:
        learner: a trained transformer, or a construction.
        reference: what it is held against.
        sets: demonstration sets, a sequence each; their own queries are not looked at.
        queries: common to all sets.
    """
    n_sets, n_queries = len(sets.x), len(queries)
    every_pair = Sequences(
        sets.x.repeat_interleave(n_queries, dim=0),
        sets.y.repeat_interleave(n_queries, dim=0),
        queries.repeat(n_sets, 1),
        sets.query_y.repeat_interleave(n_queries, dim=0),
    )
    of_sets, of_reference = (
        sensitivity(predict, every_pair).reshape(n_sets, n_queries, -1) for predict in (learner, reference)
    )
    u, v = of_sets[:, None], of_reference[None]
    cosines = infinite_if_undefined(cosine_similarity(u, v, dim=-1))
    is_flat = (u.norm(dim=-1) == 0) | (v.norm(dim=-1) == 0)
    diverged = ~(u.isfinite().all(dim=-1) & v.isfinite().all(dim=-1))
    return cosines.masked_fill(is_flat, torch.nan).masked_fill(diverged, torch.inf)
