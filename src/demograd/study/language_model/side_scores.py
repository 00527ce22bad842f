"""The scores of one side of a claim, wherever a run folder has them."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from demograd.statistics import MatchingTest, at_equal_size, double_difference, match, mean_over_heads
from demograd.study.language_model.claim_sides import Side, is_tuned
from demograd.study.language_model.curves import curves_of
from demograd.study.language_model.groups import CellGroup, WorldGroup
from demograd.study.language_model.matching import matrix_of, read_matrix
from demograd.study.language_model.measures import is_asked
from demograd.study.language_model.scores import (
    Scores,
    has_untuned_scores,
    partner,
    read_curve,
    tuned_scores,
    untuned_scores,
    what_diverged,
)
from demograd.study.language_model.spec import Study
from demograd.words import Setting


def side_curve(same_world: Sequence[WorldGroup], side: Side | float) -> list[CellGroup] | None:
    """A side's cells at its learning rates, in ascending order; None for a side that is not fine-tuned, or not here."""
    if not isinstance(side, dict) or not is_tuned(side):
        return None
    untuned = world_of(same_world, side)
    if untuned is None or not _is_run(untuned.study, side["setting"]):
        return None
    return next((curve for curve in curves_of(untuned) if curve[0].cell.method == side["method"]), None)


def world_of(same_world: Sequence[WorldGroup], side: Side) -> WorldGroup | None:
    """The worlds of a side's network; None where there are none."""
    about = side["model"], side["weights"]
    return next((untuned for untuned in same_world if (untuned.world.model, untuned.world.weights) == about), None)


def side_scores(
    same_world: Sequence[WorldGroup], side: Side, curve: list[CellGroup] | None, at: float | None
) -> Scores | None:
    """A side's scores, those of a tuned one at the only learning rate of its curve (`side_curve`, or a part of it), or
    at one size of its updates; None where there are none."""
    untuned = world_of(same_world, side)
    if untuned is None:
        return None
    if not is_tuned(side):
        return _reduced(untuned_scores(untuned, side["setting"], side["metric"]), side)
    if curve is None:
        return None

    def scores(group: CellGroup) -> Scores | None:
        return _reduced(tuned_scores(group, side["setting"], side["metric"]), side)

    return scores(curve[0]) if at is None else read_curve(curve, scores, partial(at_equal_size, at=at))


def matching_of(curve: list[CellGroup], left: Side, right: Side, at: float | None, margin: float) -> MatchingTest:
    """Matching of two sides of one curve that differ in their setting: of FT against the other sets, the diagonal of
    its matrix; of FT against permuted labels, that of the difference of the two matrices. At the only learning rate, or
    at one size of the updates."""

    def values(side: Side) -> Tensor:
        setting, metric = Setting(side["setting"]), side["metric"]
        read = partial(at_equal_size, at=at) if at is not None else None
        matrix = matrix_of(curve[0], metric, setting) if read is None else read_matrix(curve, metric, read, setting)
        assert matrix is not None, "a side that is compared has scores"
        return matrix

    if right["setting"] == Setting.FT_OTHER_SETS:
        return match(values(left), margin=margin)
    return double_difference(values(left), values(right), margin=margin)


def why_no_scores(same_world: Sequence[WorldGroup], side: Side) -> str | None:
    """Empty: a side has scores, at one of its rates at least; what diverged or failed, where that is why there are
    none; None where they are not measured."""
    curve = side_curve(same_world, side)
    untuned = world_of(same_world, side)
    if untuned is not None and not untuned.is_observed:
        return _what_failed(untuned) if _has_scores(untuned, side, curve) else None
    if curve is None:
        return None if side_scores(same_world, side, None, None) is None else ""
    setting, metric = side["setting"], side["metric"]
    if any(tuned_scores(group, setting, metric) is not None for group in curve):
        return ""
    return (what_diverged(curve[0], setting, metric) or None) if is_asked(curve[0].untuned.study, metric) else None


def why_undefined(same_world: Sequence[WorldGroup], side: Side) -> str:
    """Why a side's metric has no value on the task, as a clause; empty where it has."""
    untuned = world_of(same_world, side)
    return untuned.why_undefined(side["metric"]) if untuned is not None and untuned.is_observed else ""


def _what_failed(untuned: WorldGroup) -> str:
    """`trained weights failed: ArithmeticError: … (1 of 5 demonstration sets)`."""
    world, failed = untuned.world, [status for status in untuned.failed if status != "ok"]
    model = f"{world.model}, " * (len(untuned.study.models) > 1)
    return f"{model}{world.weights} weights {failed[0]} ({len(failed)} of {len(untuned.worlds)} demonstration sets)"


def _has_scores(untuned: WorldGroup, side: Side, curve: list[CellGroup] | None) -> bool:
    """Whether a side would have scores if nothing had failed."""
    metric = side["metric"]
    if not is_tuned(side):
        return has_untuned_scores(untuned.study, side["setting"], metric)
    if curve is None or (metric == "alpha" and partner(curve[0]) is None):
        return False
    return is_asked(untuned.study, metric)


def _is_run(study: Study, setting: str) -> bool:
    if setting == Setting.FT_OTHER_SETS:
        return study.matching
    return setting == Setting.FT or Setting(setting).control in study.controls


def _reduced(scores: Scores | None, side: Side) -> Scores | None:
    """Scores of pairs of layers: with `same` those of a layer with itself, or the mean over the `other` ones."""
    if scores is None or "layers" not in side:
        return scores
    return [_of_layers(score, side["layers"]) for score in scores]


def _of_layers(score: Tensor, layers: str) -> Tensor:
    """[queries, layers, layers′] → [queries, layers]."""
    if layers == "same":
        return score.diagonal(dim1=-2, dim2=-1)
    is_same = torch.eye(score.shape[-1], dtype=torch.bool)
    return mean_over_heads(torch.where(is_same, torch.nan, score))
