"""Rec2FTP: how many of the mistakes that fine-tuning mends does ICL mend too?"""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import require_same_queries
from demograd.metrics.performance import correct
from demograd.observe.observation import Observation


def rec2ftp(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """ "Recall to fine-tuning predictions": 1 where ICL predicts right, 0 where it does not, of the queries that are
    wrong in ZSL and right in FT.

    NaN (missing) at the other queries, so that the mean over queries is the metric, and missing where FT mends nothing.
    FT mends other queries with every demonstration set: how many there are is part of the result.

    **Source:** Dai 2023. **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    return torch.where(~correct(zsl) & correct(ft), correct(icl).float(), torch.nan)
