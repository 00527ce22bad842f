"""How high a score can be at all, where ICL does not even agree with itself."""

import torch
from jaxtyping import Float
from torch import Tensor

OF_A_CEILING = (
    "sim_aou",
    "sim_aou_norm",
    "sim_aou_mean_removed",
    "sim_aou_norm_mean_removed",
    "sim_am_delta",
    "sim_am_delta_centred",
)
"""The metrics that are cosines of updates, of which √r is a ceiling. Of Token Overlap or Rec2FTP, r itself is the thing
to compare with."""


def noise_ceiling(r: Float[Tensor, "*values"]) -> Float[Tensor, "*values"]:
    """√r, about what the best conceivable FT scores, given the *reordering reference* r, value by value.

    r is the same score between two ICL observations with different orders of the same demonstrations, one of them in
    FT's place: `sim_aou(zsl, icl, icl_reordered)`. If an ICL update is what all orders share plus as much again that
    is particular to its order, r = ½; an FT update that is exactly what they share then scores √½ = 0.71. Average what
    this returns, not r: √ of a mean is above the mean of √.

    NaN (missing) where r is below zero, for two orders that have nothing in common bound no score by a root, and
    where r is missing: both are counted, and never averaged in. So where many r are negative, the mean
    of what is left errs on the high side.
    """
    return torch.where(r >= 0, r.clamp(min=0).sqrt(), torch.nan)
