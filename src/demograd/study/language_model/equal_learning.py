"""Methods compared where they have learned equally much, along their steps or between their learning rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product, takewhile
from math import log

import torch
from torch import Tensor

from demograd.metrics import check_fine_tuning, normalised_label_log_likelihood
from demograd.statistics import at_equal_size, mean_over_heads
from demograd.study.language_model.curves import COMPARED, curves_of
from demograd.study.language_model.groups import CellGroup, WorldGroup
from demograd.study.language_model.matching import matrix_of, specificity_row
from demograd.study.language_model.scores import Scores, tuned_scores
from demograd.study.language_model.spec import Study
from demograd.study.rows import similarity
from demograd.study.spec.methods import options_json
from demograd.words import Control, Reading, Row, Setting

NOTHING_LEARNED = "fine-tuning learned nothing here"
NOT_WITH_ALL = "with a demonstration set it did not make the gold label more probable"
LEARNED_MORE = "it has learned more than this by its first step that was observed"


def learning_rows(study: Study, untuned: WorldGroup) -> Iterator[Row]:
    """Scores and specificity of every method where those that learn have made the gold label as many times more
    probable among the label words, by the most that they all reach with every demonstration set: along the steps after
    which FT was observed, or between learning rates.

    A method learns if its gate is open at its end, at one of its rates at least; one that does not bounds no other. A
    method of which only one point was observed has no curve, and is left out.
    """
    for way, metric in product(learning_ways(untuned), (*COMPARED, "update_size_ratio")):
        cell = way.points[0].group.cell
        score = Row(
            method=cell.method,
            method_options=options_json(study.method(cell.method, cell.learning_rate)),
            setting=Setting.FT,
            metric=metric,
            reading=Reading.AT_EQUAL_LEARNING,
            at=None if way.at is None else log(way.at),
            status=way.objection or None,
        )
        if way.objection:
            yield score
            continue
        scores = way.read([tuned_scores(point.group, Setting.FT, metric, point.step) for point in way.points])
        if scores is not None:
            yield next(similarity(untuned.seeds, score, list(scores)))
        matrices = [matrix_of(point.group, metric, step=point.step) for point in way.points]
        # what is read along a method's way is FT on one set: the matrix by its columns
        columns = way.read([None if matrix is None else list(matrix.transpose(0, 1)) for matrix in matrices])
        if columns is not None:
            of_sets = replace(score, versus=Control.OTHER_SETS)
            yield specificity_row(of_sets, columns.transpose(0, 1), study.specificity_margin)


@dataclass(frozen=True)
class Point:
    """A method after a step (None: its last) at one learning rate."""

    group: CellGroup
    step: int | None


@dataclass(frozen=True, eq=False)
class LearningWay:
    """The points at which a method was observed, in order, and where on it equal learning is."""

    points: Sequence[Point]
    learned: Tensor
    """How many times more probable the gold label is than in ZSL, [points, sets]."""
    at: float | None = None
    """The same where methods are compared; None: no method learned anything."""
    objection: str = ""
    """Why the method has no scores there; else empty."""

    @property
    def most(self) -> float:
        """The most that it learned with every demonstration set."""
        return self.learned.amax(dim=0).min().item()

    @property
    def least(self) -> float:
        """The least that was observed with every demonstration set."""
        return self.learned.amin(dim=0).max().item()

    def read(self, scores: Sequence[Scores | None]) -> Tensor | None:
        """Scores of the points, read where learning is equal, heads averaged: [sets, queries, …]; None where any point
        has none."""
        present = [score for score in scores if score is not None]
        if len(present) < len(scores):
            return None
        stacked = [torch.stack([mean_over_heads(of_set.double()) for of_set in score]) for score in present]
        assert self.at is not None, "there is nothing to read at"
        return at_equal_size(self.learned, torch.stack(stacked), self.at)


def learning_ways(untuned: WorldGroup) -> list[LearningWay]:
    """Every method with two points or more, and where on its way learning is equal to the others'."""
    ways = []
    for curve in curves_of(untuned):
        if len(points := _points(curve)) > 1:
            learned = torch.stack([_times_as_probable(point) for point in points])
            ways.append(LearningWay(points, learned, objection=_why_no_learning(curve)))
    ways = [way if way.objection or way.most > 1 else replace(way, objection=NOT_WITH_ALL) for way in ways]
    at = min((way.most for way in ways if not way.objection), default=None)
    return [_compared_at(way, at) for way in ways]


def _compared_at(way: LearningWay, at: float | None) -> LearningWay:
    begins_beyond = not way.objection and at is not None and way.least > at
    return replace(way, at=at, objection=LEARNED_MORE if begins_beyond else way.objection)


def _why_no_learning(curve: Sequence[CellGroup]) -> str:
    """Empty where the gate of FT is open at the end of its steps, at one rate at least."""
    ok = [group for group in curve if set(group.status(Setting.FT)) == {"ok"}]
    opens = any(check_fine_tuning(group.untuned.zsl, group.predicted(Setting.FT)).passed for group in ok)
    return "" if opens else NOTHING_LEARNED


def _points(curve: Sequence[CellGroup]) -> list[Point]:
    """A method's steps at the only rate, else the ends of its rates; up to where FT on a set diverged: what comes after
    is another regime."""
    if len(curve) == 1:
        points = [Point(curve[0], step) for step in (*curve[0].steps, None)]
    else:
        points = [Point(group, None) for group in curve]
    return [*takewhile(lambda point: set(point.group.status(Setting.FT, point.step)) == {"ok"}, points)]


def _times_as_probable(point: Point) -> Tensor:
    """By which factor FT made the gold label more probable among the label words, [sets]: geometric mean over queries.
    Its logarithm is the gain in likelihood, along which a score is read."""
    zsl, ft = point.group.untuned.zsl, point.group.predicted(Setting.FT, point.step)
    gains = [
        normalised_label_log_likelihood(after).double() - normalised_label_log_likelihood(before).double()
        for before, after in zip(zsl, ft, strict=True)
    ]
    return torch.stack([gain.mean().exp() for gain in gains])
