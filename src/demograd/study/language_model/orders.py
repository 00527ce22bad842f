"""ICL under other orders of its demonstrations."""

import time
from collections.abc import Sequence

from torch import Tensor

from demograd.metrics import METRICS, OrderSensitivity
from demograd.models import Model
from demograd.observe import Observation
from demograd.study.language_model.cell_scores import against_all_sets, scores_of
from demograd.study.language_model.measures import matched_metrics, metrics_of_fine_tuning, takes_reordered_icl
from demograd.study.language_model.observing import ObservedSet, Progress, observe_untuned
from demograd.study.language_model.prompts import Order
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import CellRecord


def measure_orders(
    study: Study, model: Model, observed: Sequence[ObservedSet], place: int, progress: Progress
) -> CellRecord:
    """ICL under other orders of the demonstrations: its order sensitivity, and one order's scores in FT's place."""
    started = time.perf_counter()
    own = observed[place]
    spread, tensors = OrderSensitivity(), dict[str, Tensor]()

    def another(order: Order) -> Observation:
        return observe_untuned(study, "ICL", model, order.icl, progress("ICL, another order", len(own.icl.gold)))

    for number, order in enumerate(own.prepared.orders):
        again = own.icl if number == 0 else another(order)
        if "order_sensitivity" in study.measures:
            spread.add(again)
        if number == 1 and "reordering" in study.measures:
            names = [name for name in metrics_of_fine_tuning(study) if takes_reordered_icl(METRICS[name])]
            scores = scores_of(names, own.zsl, own.icl, again, own.prepared.seed)
            if study.matching:
                matched = [name for name in matched_metrics(study) if name in names]
                scores |= against_all_sets(matched, observed, again)
            tensors |= {f"ICL_reordered/{name}": score for name, score in scores.items()}
    if "order_sensitivity" in study.measures:
        tensors["ICL/order_sensitivity"] = spread.value()
    return CellRecord(tensors, {"seconds": time.perf_counter() - started})
