"""Do ICL and FT change the predictions alike? For methods that change nothing inside the network as well."""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.observations import cosine, is_resolved, require_same_queries, resolution
from demograd.metrics.registry import metric
from demograd.observe.observation import Observation


@metric("SimLabels", source="demograd", group="similarity", per="query", table="What is predicted", has_ceiling=True)
def sim_labels(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """cos(s_ICL − s_ZSL, s_FT − s_ZSL), s being the log-probabilities of the label words minus their mean.

    Minus their mean, so that what a setting learns of the format alone is no similarity. With two label words it is 1
    where both change the difference of the two in the same direction, and −1 where not. NaN (missing) where either
    change is below resolution, or the label words' probabilities are not finite.

    **Raises:** ValueError for observations that do not match.
    """
    own, icl_change, ft_change = _changes(zsl, icl, ft)
    return cosine(icl_change, ft_change, own, own, resolution(zsl.dtype))


@metric(
    "SimLabels, mean removed",
    source="demograd",
    group="similarity",
    per="query",
    table="What is predicted",
    has_ceiling=True,
)
def sim_labels_mean_removed(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """SimLabels after each change's mean over queries is subtracted.

    What is left tells queries apart: a bias towards a label word, the same for every query, is no similarity. The mean
    is taken over the queries where both changes are above resolution.

    **Raises:** as `sim_labels`.
    """
    own, icl_change, ft_change = _changes(zsl, icl, ft)
    bound = resolution(zsl.dtype)
    counts = is_resolved(icl_change, own, bound) & is_resolved(ft_change, own, bound)
    rest = [change - change[counts].mean(dim=0) for change in (icl_change, ft_change)]
    similarity = cosine(*rest, own, own, bound)
    return torch.where(counts, similarity, torch.nan)


def _changes(zsl: Observation, icl: Observation, ft: Observation) -> tuple[Tensor, Tensor, Tensor]:
    """log p of ZSL, and the changes by ICL and FT of log p minus its mean over the label words, `[queries, classes]`.

    Rounding errors are as large as those of log p itself, whose size is that of ZSL's.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    of_settings = [observation.label_log_probs.double() for observation in (zsl, icl, ft)]
    centred = [log_probs - log_probs.mean(dim=-1, keepdim=True) for log_probs in of_settings]
    return of_settings[0], centred[1] - centred[0], centred[2] - centred[0]
