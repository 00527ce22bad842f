"""The scores of one observation in FT's place: against ICL on its own demonstration set, and on every set."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from demograd.learn import Diverged, TunedModel
from demograd.metrics import compute
from demograd.observe import Observation
from demograd.statistics import mean_over_heads
from demograd.study.language_model.measures import metrics_of_demonstrations
from demograd.study.language_model.observing import ObservedSet, is_finite, observe_aligned
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.spec import Study


def against_all_sets(metrics: Iterable[str], observed: Sequence[ObservedSet], ft: Observation) -> dict[str, Tensor]:
    """A row of each metric's matrix: `matching/sim_aou` [sets, queries, layers], of ICL on every set against this FT;
    means over heads."""
    names = list(metrics)
    scores = [scores_of(names, against.zsl, against.icl, ft, against.prepared.seed) for against in observed]
    return {f"{MATCHING}{name}": over_heads(torch.stack([of_set[name] for of_set in scores])) for name in names}


MATCHING = "matching/"
"""Names of scores against all sets begin with it."""


def over_heads(scores: Tensor) -> Tensor:
    """[sets, queries, layers], of scores without layers one.

    A head counts where ICL on every set has a value with it: else the sets of ICL would be compared by different heads,
    some of which are more alike whatever the demonstrations. With FT on other sets other heads may count: that is the
    same for all sets of ICL, as the size of its update is.
    """
    if scores.dim() < 4:
        return scores if scores.dim() > 2 else scores[..., None]
    missing = scores.isnan().any(dim=0) & ~scores.isinf()
    return mean_over_heads(torch.where(missing, torch.nan, scores))


def scores_of(
    metrics: Iterable[str], zsl: Observation, icl: Observation, ft: Observation, seed: int
) -> dict[str, Tensor]:
    """Each [queries], [queries, layers], [queries, layers, heads] or [queries, layers, layers′]."""
    return _copied(compute(metrics, _by_argument(zsl, icl, ft), seed))


def _by_argument(zsl: Observation, icl: Observation, ft: Observation) -> dict[str, Any]:
    """The observations by the arguments of metrics that they are."""
    return {"zsl": zsl, "icl": icl, "ft": ft, "other": ft, "a": icl, "b": ft}


def _copied(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of their own: two metrics may return one, or a view of what was observed, and no file holds that."""
    return {name: score.clone() for name, score in scores.items()}


def of_these_demonstrations(
    study: Study, prepared: Prepared, tuned: TunedModel, zsl: Observation, icl: Observation, ft: Observation
) -> dict[str, Tensor]:
    """What has a meaning only where FT and ICL saw the same demonstrations, or is needed beside another method."""
    scores: dict[str, Tensor] = {}
    if "alpha" in study.measures:  # compared with another method's, once both are there
        scores["attention_logits"] = torch.cat(ft.attention_logits, dim=-1)
    arguments = _by_argument(zsl, icl, ft)
    arguments |= {"spans": prepared.icl.demonstration_spans, "training_queries": tuned.training_queries}
    return scores | _copied(compute(metrics_of_demonstrations(study), arguments, prepared.seed))


_OF_KEYS = ("implicit_update", "implicit_update_weighted")
"""Metrics that compare sums of v kᵀ, of which rotary positions turn k."""


def in_one_frame(
    study: Study,
    prepared: Prepared,
    tuned: TunedModel,
    aligned_zsl: Observation | None,
    icl: Observation,
    scores: dict[str, Tensor],
) -> dict[str, Tensor]:
    """The implicit update on aligned positions; missing of a model whose positions cannot be told."""
    if aligned_zsl is None:
        return {name: torch.full_like(scores[name], torch.nan) for name in _OF_KEYS}
    ft = observe_aligned(study, tuned, prepared)
    if not is_finite(ft):
        raise Diverged(len(tuned.losses), "what the tuned model computes")
    return scores_of(_OF_KEYS, aligned_zsl, icl, ft, prepared.seed)
