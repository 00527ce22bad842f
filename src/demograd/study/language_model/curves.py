"""Methods and weights compared at equal size of their updates, where a study has several learning rates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

from torch import Tensor

from demograd.metrics import specificity
from demograd.statistics import at_equal_size, mean_over_sizes
from demograd.study.language_model.groups import CellGroup, WorldGroup
from demograd.study.language_model.matching import read_matrix, specificity_row
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
