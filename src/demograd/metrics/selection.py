"""Which queries a score is averaged over."""

from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from demograd.metrics.comparable import require_same_queries
from demograd.metrics.performance import correct
from demograd.observe.observation import Observation

Selection = Literal["all", "corrected"]


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
