"""Methods and weights compared at equal size of their updates, where a study has several learning rates; and methods
where they have learned equally much, along their steps or between their rates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from demograd.metrics import normalised_label_log_likelihood, specificity
from demograd.statistics import at_equal_size, common_sizes, mean_over_heads, mean_over_sizes
from demograd.study.language_model.groups import CellGroup, WorldGroup
from demograd.study.language_model.matching import matrix_of, read_matrix, specificity_row
from demograd.study.language_model.measures import matched_metrics
from demograd.study.language_model.scores import Scores, common_size, read_curve, size_range, tuned_scores
from demograd.study.language_model.spec import Study
from demograd.study.rows import similarity
from demograd.study.spec.methods import options_json
from demograd.words import Control, Reading, Row, Setting

COMPARED = ("sim_aou", "sim_am_delta")
ReadCurve = Callable[[Tensor, Tensor], Tensor]


def curves_of(untuned: WorldGroup) -> list[list[CellGroup]]:
    """Each method's cells at its learning rates, in ascending order."""
    curves: dict[str, list[CellGroup]] = {}
    for group in untuned.groups:
        curves.setdefault(group.cell.method, []).append(group)
    return [sorted(curve, key=lambda group: group.cell.learning_rate) for curve in curves.values()]


def curve_rows(study: Study, same_world: Sequence[WorldGroup]) -> Iterator[tuple[WorldGroup, Row]]:
    """Rows of every method and state of the weights at one size that all reach; `same_world`: of one task and k.

    A method with a single rate has no curve, and is left out.
    """
    curves = [(untuned, curve) for untuned in same_world for curve in curves_of(untuned) if len(curve) > 1]
    if not curves:
        return
    all_curves = [curve for _, curve in curves]
    at, (low, high) = common_size(all_curves), size_range(all_curves)
    readings: dict[Reading, tuple[float | None, ReadCurve]] = {
        Reading.AT_EQUAL_SIZE: (at, partial(at_equal_size, at=at)),
        Reading.OVER_SIZES: (None, partial(mean_over_sizes, low=low, high=high)),
    }
    controls = (None, *map(Control, study.controls), *[Control.OTHER_SETS] * study.matching)
    for (untuned, curve), metric, control, reading in product(curves, COMPARED, controls, readings):
        size, read = readings[reading]
        score = Row(
            method=curve[0].cell.method,
            method_options=options_json(study.method(curve[0].cell.method, curve[0].cell.learning_rate)),
            setting=Setting.FT,
            versus=control,
            metric=metric,
            reading=reading,
            at=size,
        )
        if low != low:
            yield untuned, replace(score, status="the curves share no size")
            continue
        if control == Control.OTHER_SETS:
            values = read_matrix(curve, metric, read) if metric in matched_metrics(study) else None
            if values is not None:
                yield untuned, specificity_row(score, values, study.specificity_margin)
            continue
        scores = read_curve(curve, partial(specificity_scores, control=control, metric=metric), read)
        for row in similarity(untuned.seeds, score, scores) if scores is not None else ():
            yield untuned, row


def specificity_scores(group: CellGroup, control: Control | None, metric: str) -> Scores | None:
    """The score of FT; with a control, its difference from that of FT on it."""
    score = tuned_scores(group, Setting.FT, metric)
    if control is None or score is None:
        return score
    subtracted = tuned_scores(group, control.setting, metric)
    return subtracted and [specificity(*scores) for scores in zip(score, subtracted, strict=True)]


def learning_rows(study: Study, untuned: WorldGroup) -> Iterator[Row]:
    """Scores and specificity of every method where all have made the gold label as many times more probable among the
    label words, by the most that all reach with every demonstration set: along the steps after which FT was observed,
    or between learning rates.

    A method of which only one point was observed has no curve, and is left out; one that is left out bounds no other.
    """
    ways = {curve[0].cell.method: way for curve in curves_of(untuned) if len(way := _way(curve)) > 1}
    if not ways:
        return
    learned = {method: torch.stack([_times_as_probable(point) for point in way]) for method, way in ways.items()}
    _, most = common_sizes([*learned.values()])
    why = "" if most > 1 else "not every method learned anything" if most == most else "no amount is learned by all"
    for (method, way), metric in product(ways.items(), (*COMPARED, "update_size_ratio")):
        cell = way[0].group.cell
        score = Row(
            method=method,
            method_options=options_json(study.method(method, cell.learning_rate)),
            setting=Setting.FT,
            metric=metric,
            reading=Reading.AT_EQUAL_LEARNING,
            at=log(most) if most > 0 else None,
            status=why or None,
        )
        if why:
            yield score
            continue
        scores = _stacked([tuned_scores(point.group, Setting.FT, metric, point.step) for point in way])
        if scores is not None:
            read = list(at_equal_size(learned[method], scores, most))
            yield next(similarity(untuned.seeds, score, read))
        matrices = _stacked([_columns(matrix_of(point.group, metric, step=point.step)) for point in way])
        if matrices is not None:
            values = at_equal_size(learned[method], matrices, most).transpose(0, 1)
            of_sets = replace(score, versus=Control.OTHER_SETS)
            yield specificity_row(of_sets, values, study.specificity_margin)


class Point(NamedTuple):
    """A method after a step (None: its last) at one learning rate."""

    group: CellGroup
    step: int | None


def _way(curve: Sequence[CellGroup]) -> list[Point]:
    """The points at which a method was observed, in order: its steps at the only rate, else the ends of its rates;
    without those at which FT on a set diverged."""
    if len(curve) == 1:
        points = [Point(curve[0], step) for step in (*curve[0].steps, None)]
    else:
        points = [Point(group, None) for group in curve]
    return [point for point in points if set(point.group.status(Setting.FT, point.step)) == {"ok"}]


def _times_as_probable(point: Point) -> Tensor:
    """By which factor FT made the gold label more probable among the label words, [sets]: geometric mean over queries.
    Its logarithm is the gain in likelihood, along which a score is read."""
    zsl, ft = point.group.untuned.zsl, point.group.predicted(Setting.FT, point.step)
    gains = [
        normalised_label_log_likelihood(after).double() - normalised_label_log_likelihood(before).double()
        for before, after in zip(zsl, ft, strict=True)
    ]
    return torch.stack([gain.mean().exp() for gain in gains])


def _stacked(points: Sequence[Scores | None]) -> Tensor | None:
    """[points, sets, …], heads averaged; None where any point has no score."""
    if any(scores is None for scores in points):
        return None
    return torch.stack([torch.stack([mean_over_heads(score.double()) for score in scores or ()]) for scores in points])


def _columns(matrix: Tensor | None) -> Scores | None:
    """What is read along a method's way is one set of FT: the matrix by its columns."""
    return None if matrix is None else list(matrix.transpose(0, 1))
