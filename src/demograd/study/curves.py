"""Methods and weights compared at equal size of their updates, where a study has several learning rates."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

from torch import Tensor

from demograd.metrics import specificity
from demograd.statistics import at_equal_size, mean_over_sizes
from demograd.study.language_model.groups import Gathered, Untuned
from demograd.study.rows import Row, similarity
from demograd.study.schema import Study
from demograd.study.scores import Scores, common_size, read_curve, size_range, tuned_scores
from demograd.study.spec.methods import options_json

COMPARED = ("sim_aou", "sim_am_delta")
Reading = Callable[[Tensor, Tensor], Tensor]
AT_EQUAL_SIZE, OVER_SIZES = "_at_equal_size", "_over_sizes"
"""What is appended to a score's name: read at one size, and its mean over all sizes that the curves share."""


def curves_of(untuned: Untuned) -> list[list[Gathered]]:
    """Each method's cells at its learning rates, in ascending order."""
    curves: dict[str, list[Gathered]] = {}
    for group in untuned.groups:
        curves.setdefault(group.cell.method, []).append(group)
    return [sorted(curve, key=lambda group: group.cell.learning_rate) for curve in curves.values()]


def curve_rows(study: Study, same_world: Sequence[Untuned]) -> Iterator[tuple[Untuned, Row]]:
    """Rows of every method and state of the weights at one size that all reach; `same_world`: of one task and k.

    A method with a single rate has no curve, and is left out.
    """
    curves = [(untuned, curve) for untuned in same_world for curve in curves_of(untuned) if len(curve) > 1]
    if not curves:
        return
    all_curves = [curve for _, curve in curves]
    at, (low, high) = common_size(all_curves), size_range(all_curves)
    readings: dict[str, tuple[float | None, Reading]] = {
        AT_EQUAL_SIZE: (at, partial(at_equal_size, at=at)),
        OVER_SIZES: (None, partial(mean_over_sizes, low=low, high=high)),
    }
    settings = ("FT", *(f"FT_{control}" for control in study.controls))
    for (untuned, curve), metric, setting, suffix in product(curves, COMPARED, settings, readings):
        name = metric if setting == "FT" else f"{metric}_specificity"
        read_at, read = readings[suffix]
        options = options_json(study.method(curve[0].cell.method, curve[0].cell.learning_rate))
        same: Row = {"method": curve[0].cell.method, "method_options": options, "setting": setting, "at": read_at}
        if low != low:
            yield untuned, {**same, "metric": name + suffix, "status": "the curves share no size"}
            continue
        scores = read_curve(curve, partial(specificity_scores, setting=setting, metric=metric), read)
        for row in similarity(untuned.seeds, name, scores) if scores is not None else ():
            yield untuned, {**same, **row, "metric": name + suffix}


def specificity_scores(group: Gathered, setting: str, metric: str) -> Scores | None:
    """The score of FT; for a control, its difference from that control's."""
    score = tuned_scores(group, "FT", metric)
    if setting == "FT" or score is None:
        return score
    control = tuned_scores(group, setting, metric)
    return control and [specificity(one, other) for one, other in zip(score, control, strict=True)]
