"""Why a comparison does not count: nothing was learned in context or by fine-tuning, updates of
an absurd size, or below resolution."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf, log
from typing import Any

import torch

from demograd.metrics import METRICS, check_resolution, check_update_size
from demograd.statistics import neighbours_of_size
from demograd.study.language_model.claim_sides import Side, is_tuned
from demograd.study.language_model.grid import World
from demograd.study.language_model.groups import CellGroup
from demograd.study.language_model.scores import Scores, partner, size_curve, tuned_scores
from demograd.study.language_model.validity import cell_label
from demograd.words import Setting, Weights

_About = tuple[str, str, str, int, str, int, str | None]
"""Model, task, labels, k, weights, initialisation, and a method at its rate; None: what does not depend on any."""
_ABOUT = ("model", "task", "labels", "k", "weights", "initialisation", "method")
Validity = dict[tuple[str, _About], str]
"""Check, and what it is about → why the numbers do not count."""

ABSURD = "updates of an absurd size"
UNCHANGED = "the method leaves the inside of the network as it is"
BELOW_RESOLUTION = "are below resolution"
NO_LEARNING = {
    ("in_context_learning", False): "no in-context learning here",
    ("in_context_learning", True): "undecided whether there is in-context learning here",
    ("fine_tuning", False): "fine-tuning learned nothing here",
    ("fine_tuning", True): "undecided whether fine-tuning learned anything here",
    ("update_size", False): ABSURD,
}
"""Check, and whether it is undecided → the objection."""


def invalid_worlds(validity: Sequence[Mapping[str, Any]]) -> Validity:
    """What failed its check, as `validity.json` says."""
    validity_of_worlds: Validity = {}
    for row in validity:
        reason = NO_LEARNING.get((row["check"], row.get("undecided", False)))
        if reason is not None and not row["passed"]:
            about = tuple(row[name] for name in _ABOUT)
            validity_of_worlds[row["check"], about] = reason
    return validity_of_worlds


def objection_to(
    invalid: Validity,
    claim: Mapping[str, Any],
    worlds: Sequence[World],
    sides: Sequence[Side | float],
    curves: Sequence[list[CellGroup]],
    at: float | None,
) -> str:
    """What is wrong with two sides, measured in these worlds, the tuned ones with these curves over learning rates,
    read at the size `at` (None: at their only learning rate).

    Untrained weights beside trained ones are a baseline: they need not learn, but their updates must be of a size like
    any other's. What is said of untrained weights alone has their own gates.
    """
    measured = [side for side in sides if isinstance(side, dict)]
    if claim.get("only_last_must_learn"):  # whether the other checkpoint does, or does as well, is the question
        faults = [invalid.get(("in_context_learning", _about(worlds, side))) for side in measured[:1]]
        return next((f"at the last checkpoint: {fault}" for fault in faults if fault), "")
    must_learn = [side for side in measured if side["weights"] == Weights.TRAINED] or measured
    learning: list[tuple[str, _About]] = [("in_context_learning", _about(worlds, side)) for side in must_learn]
    tuned = list(zip((side for side in measured if is_tuned(side)), curves, strict=True))
    left = claim["left"]
    if not (isinstance(left, Mapping) and left.get("method") == "any"):  # else it is the same whatever fine-tuning does
        for side, curve in tuned:
            if side in must_learn:
                learning += [("fine_tuning", _about(worlds, side, group)) for group in _read_from(side, curve, at)]
    if objection := next((invalid[key] for key in learning if key in invalid), ""):
        return objection
    # what is said of predictions asks for no size inside the network
    inside = [(side, curve) for side, curve in tuned if not _is_of_predictions(side["metric"])]
    if at is not None and inside:
        return "" if check_update_size([torch.tensor([[at]])]).passed else ABSURD  # of this size, whatever the rates
    for side, curve in inside:
        if _leaves_the_inside(curve[0]):
            return UNCHANGED
        if fault := invalid.get(("update_size", _about(worlds, side, curve[0]))):
            return fault
    return ""


def _leaves_the_inside(group: CellGroup) -> bool:
    """Whether no attention output is other than before, as of readout and lookups, which change predictions alone."""
    ratios = tuned_scores(group, Setting.FT, "update_size_ratio")
    values = torch.cat([ratio.flatten() for ratio in ratios or [torch.empty(0)]])
    sizes = values[~values.isnan()]
    return len(sizes) > 0 and bool((sizes == 0).all())


def _is_of_predictions(metric: str) -> bool:
    """Whether a metric has one value of each query, and so none of layers or of pairs of them."""
    return metric in METRICS and METRICS[metric].per == "query"


def labels_read(sides: Sequence[Side | float], curves: Sequence[list[CellGroup]], at: float | None) -> tuple[str, ...]:
    """The cells that the tuned sides were read from, as validity checks name them; arguments as in `objection_to`."""
    tuned = [side for side in sides if isinstance(side, dict) and is_tuned(side)]
    groups = [group for side, curve in zip(tuned, curves, strict=True) for group in _read_from(side, curve, at)]
    return tuple(dict.fromkeys(cell_label(group.cell.method, group.cell.learning_rate) for group in groups))


def _about(worlds: Sequence[World], side: Side, group: CellGroup | None = None) -> _About:
    """Of the world with the side's network."""
    network = side["model"], side["weights"]
    world = next(world for world in worlds if (world.model, world.weights) == network)
    method = None if group is None else cell_label(group.cell.method, group.cell.learning_rate)
    return world.model, world.task, world.labels, world.k, world.weights, world.initialisation, method


def _read_from(side: Side, curve: list[CellGroup], at: float | None) -> Iterator[CellGroup]:
    """The cells that a side's score is of: those at the only rate, or at all rates between which a set is read at the
    size `at`; and with α, those of GD."""
    for group in curve if at is None else _around(curve, at):
        yield group
        if side["metric"] == "alpha" and (gd := partner(group)) is not None:
            yield gd


def _around(curve: list[CellGroup], at: float) -> list[CellGroup]:
    read_from = neighbours_of_size(size_curve(curve), at)
    return [group for place, group in enumerate(curve) if place in read_from]


def nearest_in_size(curve: list[CellGroup]) -> CellGroup:
    """The cells of a method at the rate whose updates are nearest in size to ICL's."""
    return min(curve, key=_distance)


def _distance(group: CellGroup) -> float:
    """How far the size of its updates is from ICL's, as a logarithm; infinite where FT diverged."""
    size = size_curve([group]).double().nanquantile(0.5).item()
    return abs(log(size)) if 0 < size < inf else inf


def unresolved(sides: Sequence[Side | float], scores: Sequence[Scores | float | None]) -> str:
    """Whether most values of a similarity, as it was read, are below resolution: their rest is no fair sample."""
    for side, score in zip(sides, scores, strict=True):
        if isinstance(side, dict) and isinstance(score, list) and not _is_resolved(side["metric"], score):
            return f"most updates of {side['method'] if is_tuned(side) else side['setting']} {BELOW_RESOLUTION}"
    return ""


def _is_resolved(metric: str, scores: Scores) -> bool:
    """Whether enough is; what is missing of anything but a similarity is missing for other reasons."""
    is_similarity = metric in METRICS and METRICS[metric].group == "similarity"
    return not is_similarity or check_resolution(scores).passed
