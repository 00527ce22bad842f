"""Methods and weights compared at equal size of their updates, where a study has several learning rates."""

from collections.abc import Iterator, Sequence
from functools import partial

from demograd.metrics import specificity
from demograd.study.gathered import Gathered, Untuned
from demograd.study.rows import Row, similarity
from demograd.study.schema import Study
from demograd.study.scores import Scores, at_equal_size, common_size, tuned_scores

COMPARED = ("sim_aou", "sim_am_delta")
SUFFIX = "_at_equal_size"


def curves_of(untuned: Untuned) -> list[list[Gathered]]:
    """Each method's cells at its learning rates, in ascending order."""
    curves: dict[str, list[Gathered]] = {}
    for group in untuned.groups:
        curves.setdefault(group.cell.method, []).append(group)
    return [sorted(curve, key=lambda group: group.cell.learning_rate) for curve in curves.values()]


def curve_rows(study: Study, same_world: Sequence[Untuned]) -> Iterator[tuple[Untuned, Row]]:
    """Rows of every method and state of the weights at one size that all reach; `same_world`: of one task and k.

    Nothing where no method has several rates.
    """
    curves = [(untuned, curve) for untuned in same_world for curve in curves_of(untuned)]
    if not any(len(curve) > 1 for _, curve in curves):
        return
    at = common_size([curve for _, curve in curves])
    for untuned, curve in curves:
        for metric in COMPARED:
            for setting in ("FT", *(f"FT_{control}" for control in study.controls)):
                name = metric if setting == "FT" else f"{metric}_specificity"
                same: Row = {"method": curve[0].cell.method, "setting": setting, "at": at}
                scores = None
                if at == at:
                    scores = at_equal_size(curve, at, partial(specificity_scores, setting=setting, metric=metric))
                if scores is None:
                    status = "the curves share no size" if at != at else "not measured"
                    yield untuned, {**same, "metric": name + SUFFIX, "status": status}
                    continue
                for row in similarity(untuned.seeds, name, scores):
                    yield untuned, {**same, **row, "metric": name + SUFFIX}


def specificity_scores(group: Gathered, setting: str, metric: str) -> Scores | None:
    """The score of FT; for a control, its difference from that control's."""
    score = tuned_scores(group, "FT", metric)
    if setting == "FT" or score is None:
        return score
    control = tuned_scores(group, setting, metric)
    return control and [specificity(one, other) for one, other in zip(score, control, strict=True)]
