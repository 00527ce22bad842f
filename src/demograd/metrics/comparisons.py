"""A score beside another: the specificity against a control, and the ceiling that ICL's own noise sets."""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference


def specificity(
    score_same: Float[Tensor, "queries layers *heads"], score_control: Float[Tensor, "queries layers *heads"]
) -> Float[Tensor, "queries layers *heads"]:
    """A score with FT on ICL's own demonstrations minus the score with FT on a control, paired value by value.

    Controls: the same demonstrations with permuted labels, another task. About zero: fine-tuning on anything looks as
    much like ICL. Other demonstrations of the task are compared by `demograd.statistics.match`. NaN (missing) where
    either score is; infinite (it diverged) where either score is.

    **Source:** ours.
    """
    return difference(score_same, score_control)


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
