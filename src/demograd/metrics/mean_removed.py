"""SimAOU of what is particular to a query: each update's mean over queries is subtracted first.

An update that is the same for every query (a shift towards the answer format, say) makes every query's score high
without any of them having been learned from. What is left after the mean is gone answers: does the *difference*
between queries change in the same direction?

There is no such form of SimAM: a query's attention row has one component per token of that query, the token counts
differ, and components of different queries do not correspond, so a mean over queries is undefined.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.metrics.aou import normalised
from demograd.metrics.comparable import attention_outputs
from demograd.metrics.resolution import cosine, is_resolved, resolution
from demograd.observe.observation import Observation


def sim_aou_mean_removed(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """`sim_aou` of u − mean over queries of u. All missing with a single query."""
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    return mean_removed_cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


def sim_aou_norm_mean_removed(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """`sim_aou_norm` of u − mean over queries of u, u being the difference of the normalised outputs."""
    h_zsl, h_icl, h_ft = map(normalised, attention_outputs(ZSL=zsl, ICL=icl, FT=ft))
    return mean_removed_cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


def mean_removed_cosine(
    u: Float[Tensor, "queries layers hidden"],
    v: Float[Tensor, "queries layers hidden"],
    scale_u: Float[Tensor, "queries layers hidden"],
    scale_v: Float[Tensor, "queries layers hidden"],
    bound: float,
) -> Float[Tensor, "queries layers"]:
    """cos(u − ū, v − v̄), with the mean taken over the queries where both updates are above resolution.

    NaN (missing) at the other queries, and where nothing above resolution is left of an update.
    """
    counts = is_resolved(u, scale_u, bound) & is_resolved(v, scale_v, bound)
    cos = cosine(_without_mean(u, counts), _without_mean(v, counts), scale_u, scale_v, bound)
    return torch.where(counts, cos, torch.nan)


def _without_mean(
    u: Float[Tensor, "queries layers hidden"], counts: Bool[Tensor, "queries layers"]
) -> Float[Tensor, "queries layers hidden"]:
    total = torch.where(counts[..., None], u, 0.0).sum(dim=0)
    return u - total / counts.sum(dim=0)[:, None]
