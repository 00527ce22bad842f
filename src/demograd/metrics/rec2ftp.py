"""Rec2FTP: how many of the mistakes that fine-tuning mends does ICL mend too? And the selection of such queries."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.metrics.observations import require_same_queries
from demograd.metrics.predictions import correct
from demograd.metrics.registry import COSINE, SHARE, metric
from demograd.observe.observation import Observation

Selection = Literal["all", "corrected"]

LEAST = 10
"""Queries mended, and left unmended, from which on a test of their difference keeps its size: at 0.05 it rejected a
true null 5 times in 100 with 10 mended of 40, 10 times with 5, 50 times with 2 (simulated, 8 demonstration sets)."""


@metric(
    "Rec2FTP",
    source="Dai 2023",
    group="performance",
    measure="similarity",
    table="What is predicted",
    per="query",
    bounds=SHARE,
)
def rec2ftp(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """The share right in ICL of the queries that are wrong in ZSL and right in FT.

    "Recall to fine-tuning predictions": 1 where ICL predicts right, 0 where it does not. NaN (missing) at the other
    queries, so that the mean over queries is the metric, and missing where FT mends nothing. FT mends other queries
    with every demonstration set: how many there are is part of the result. Read it beside `rec2ftp_base_rate`: an ICL
    that always answers one class, where ZSL always answers the other, scores 1.

    **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    return torch.where(~correct(zsl) & correct(ft), correct(icl).float(), torch.nan)


@metric(
    "Rec2FTP's base rate",
    source="demograd",
    group="performance",
    measure="similarity",
    table="What is predicted",
    per="query",
    bounds=SHARE,
)
def rec2ftp_base_rate(zsl: Observation, icl: Observation) -> Float[Tensor, " queries"]:
    """The share right in ICL of the queries that are wrong in ZSL: what Rec2FTP is where FT does not matter.

    P(ICL right | ZSL wrong): 1 where ICL predicts right, 0 where it does not. What `rec2ftp` is where ICL and FT mend
    queries independently of each other; only what it is above this says that
    they mend the same ones. NaN (missing) at the other queries, so that the mean over queries is the metric.

    **Raises:** as `rec2ftp`.
    """
    require_same_queries(ZSL=zsl, ICL=icl)
    return torch.where(~correct(zsl), correct(icl).float(), torch.nan)


@metric(
    "Rec2FTP above its base rate",
    source="demograd",
    group="performance",
    measure="similarity",
    table=None,
    per="query",
    bounds=COSINE,
)
def rec2ftp_above_base_rate(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """Rec2FTP minus its base rate, where FT mends ten of ZSL's mistakes or more and leaves ten or more.

    Whether ICL mends what FT mends rather than the other mistakes of ZSL. The mean over queries is that difference, up
    to rounding. One query's value is the mean plus the query's influence on it (infinitesimal jackknife: a difference
    of two shares, of which the smaller one's denominator varies as well), so that intervals and tests over queries
    hold. NaN (missing) at queries that are right in ZSL, and everywhere where FT mends fewer than `LEAST` of ZSL's
    mistakes, or leaves fewer than that: of one query there is no spread, and where all are mended there are no other
    mistakes.

    **Raises:** as `rec2ftp`.
    """
    recalled, base_rate = rec2ftp(zsl, icl, ft).double(), rec2ftp_base_rate(zsl, icl).double()
    is_counted = (~recalled.isnan()).double()
    recall, base = recalled.nanmean(), base_rate.nanmean()
    share_mended = is_counted.sum() / (~base_rate.isnan()).sum()
    if min(is_counted.sum(), (~base_rate.isnan()).sum() - is_counted.sum()) < LEAST:
        return torch.full_like(recalled, torch.nan, dtype=torch.float32)
    influence = torch.where(recalled.isnan(), 0.0, recalled - recall) / share_mended
    return (recall - base + influence - (base_rate - base)).to(torch.float32)


def selected(
    zsl: Observation, icl: Observation, ft: Observation, selection: Selection = "all"
) -> Bool[Tensor, " queries"]:
    """True for the queries to average over.

    FT, and with it the selection, differs between demonstration seeds: statistics over seeds take `only(…)`.

    `corrected`: wrong in ZSL, right in ICL and in FT (Dai 2023's released runs). It may be empty; `aggregate` of an
    empty selection is then missing, not zero as in those runs.

    **Raises:** ValueError for observations that do not match.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    match selection:
        case "all":
            return torch.ones_like(zsl.gold, dtype=torch.bool)
        case "corrected":
            return ~correct(zsl) & correct(icl) & correct(ft)
