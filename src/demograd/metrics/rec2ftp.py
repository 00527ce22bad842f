"""Rec2FTP: how many of the mistakes that fine-tuning mends does ICL mend too?"""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import require_same_queries
from demograd.metrics.performance import correct
from demograd.observe.observation import Observation

LEAST = 10
"""Queries mended, and left unmended, from which on a test of their difference keeps its size: at 0.05 it rejected a
true null 5 times in 100 with 10 mended of 40, 10 times with 5, 50 times with 2 (simulated, 8 demonstration sets)."""


def rec2ftp(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """ "Recall to fine-tuning predictions": 1 where ICL predicts right, 0 where it does not, of the queries that are
    wrong in ZSL and right in FT.

    NaN (missing) at the other queries, so that the mean over queries is the metric, and missing where FT mends nothing.
    FT mends other queries with every demonstration set: how many there are is part of the result. Read it beside
    `rec2ftp_base_rate`: an ICL that always answers one class, where ZSL always answers the other, scores 1.

    **Source:** Dai 2023. **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    return torch.where(~correct(zsl) & correct(ft), correct(icl).float(), torch.nan)


def rec2ftp_base_rate(zsl: Observation, icl: Observation) -> Float[Tensor, " queries"]:
    """P(ICL right | ZSL wrong): 1 where ICL predicts right, 0 where it does not, of the queries that are wrong in ZSL.

    What `rec2ftp` is where ICL and FT mend queries independently of each other; only what it is above this says that
    they mend the same ones. NaN (missing) at the other queries, so that the mean over queries is the metric.

    **Source:** ours (method.md, "Similarity metrics"). **Raises:** as `rec2ftp`.
    """
    require_same_queries(ZSL=zsl, ICL=icl)
    return torch.where(~correct(zsl), correct(icl).float(), torch.nan)


def rec2ftp_above_base_rate(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """`rec2ftp` minus `rec2ftp_base_rate`: whether ICL mends what FT mends rather than the other mistakes of ZSL.

    The mean over queries is that difference, up to rounding. One query's value is the mean plus the query's influence
    on it (infinitesimal jackknife: a difference of two shares, of which the smaller one's denominator varies as well),
    so that intervals and tests over queries hold. NaN (missing) at queries that are right in ZSL, and everywhere where
    FT mends fewer than `LEAST` of ZSL's mistakes, or leaves fewer than that: of one query there is no spread, and
    where all are mended there are no other mistakes.

    **Source:** ours (method.md, "Similarity metrics"). **Raises:** as `rec2ftp`.
    """
    recalled, base_rate = rec2ftp(zsl, icl, ft).double(), rec2ftp_base_rate(zsl, icl).double()
    mended = (~recalled.isnan()).double()
    recall, base = recalled.nanmean(), base_rate.nanmean()
    share_mended = mended.sum() / (~base_rate.isnan()).sum()
    if min(mended.sum(), (~base_rate.isnan()).sum() - mended.sum()) < LEAST:
        return torch.full_like(recalled, torch.nan, dtype=torch.float32)
    of_recall = torch.where(recalled.isnan(), 0.0, recalled - recall) / share_mended
    return (recall - base + of_recall - (base_rate - base)).to(torch.float32)
