"""Do ICL and FT change the predictions alike? For methods that change nothing inside the network as well."""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.observations import cosine, is_resolved, require_same_queries, resolution
from demograd.metrics.registry import FEWEST_FOR_A_COSINE, metric
from demograd.observe.observation import Observation


@metric(
    "SimLabels",
    source="demograd",
    group="similarity",
    per="query",
    table="What is predicted",
    has_ceiling=True,
    fewest_label_words=FEWEST_FOR_A_COSINE,
    version=2,
)
def sim_labels(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, " queries"]:
    """cos(s_ICL − s_ZSL, s_FT − s_ZSL), s being the log-probabilities of the label words minus their mean.

    Minus their mean, so that what a setting learns of the format alone is no similarity. NaN (missing) where either
    change is below resolution, or the label words' probabilities are not finite; and everywhere with fewer than three
    label words, where changes have one dimension, in which a cosine is a sign: neither a share of it can be had, nor an
    interval where all signs agree.

    **Raises:** ValueError for observations that do not match.
    """
    own, icl_change, ft_change = _changes(zsl, icl, ft)
    return _similarity(icl_change, ft_change, own, resolution(zsl.dtype))


@metric(
    "SimLabels, mean removed",
    source="demograd",
    group="similarity",
    per="query",
    table="What is predicted",
    has_ceiling=True,
    fewest_label_words=FEWEST_FOR_A_COSINE,
    version=2,
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
    icl_rest, ft_rest = (change - change[counts].mean(dim=0) for change in (icl_change, ft_change))
    return torch.where(counts, _similarity(icl_rest, ft_rest, own, bound), torch.nan)


def _similarity(icl_change: Tensor, ft_change: Tensor, own: Tensor, bound: float) -> Float[Tensor, " queries"]:
    """Their cosine, missing where it is below resolution, or a sign."""
    similarity = cosine(icl_change, ft_change, own, own, bound)
    return similarity if own.shape[-1] >= FEWEST_FOR_A_COSINE else torch.full_like(similarity, torch.nan)


def _changes(zsl: Observation, icl: Observation, ft: Observation) -> tuple[Tensor, Tensor, Tensor]:
    """log p of ZSL, and the changes by ICL and FT of log p minus its mean over the label words, `[queries, classes]`.

    Rounding errors are as large as those of log p itself, whose size is that of ZSL's.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    of_settings = [observation.label_log_probs.double() for observation in (zsl, icl, ft)]
    centred = [log_probs - log_probs.mean(dim=-1, keepdim=True) for log_probs in of_settings]
    return of_settings[0], centred[1] - centred[0], centred[2] - centred[0]
