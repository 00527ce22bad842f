"""Default learning rates, from a sweep that ships as a table: there fine-tuning's update is as large as ICL's."""

from collections import defaultdict
from itertools import compress, pairwise, product
from math import exp, inf, log
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from demograd.errors import UserError, shortened_list
from demograd.learn import methods
from demograd.study.language_model.spec import Study, make_study
from demograd.study.spec.methods import named_methods
from demograd.words import Labels

COLUMNS = (
    "model",
    "task",
    "labels",
    "method",
    "k",
    "seed",
    "queries",
    "bos",
    "learning_rate",
    "update_size_ratio",
    "likelihood_among_labels",
    "auc",
    "status",
)
"""`update_size_ratio`: median of ‖u_FT‖ / ‖u_ICL‖ over tuning queries and the layers that FT changes (a method may
leave the first layers as they are), ICL with the same demonstrations.
`likelihood_among_labels`: mean log-probability of the gold label among the label words, in nats. `status`: `ok`,
`diverged`, or `missing` (no update of ICL is above resolution); numbers are empty unless it is `ok`."""

TABLE = Path(__file__).parent / "learning_rates.csv"
"""One row per fine-tuning, with these columns. Made by `benchmarks/sweep_learning_rates.py`."""

RULE = "median ‖u_FT‖ / ‖u_ICL‖ of 1 on these queries, between two rates that were run; geometric mean over sets"


def resolved(study: Study) -> tuple[Study, dict[str, str]]:
    """The study with every learning rate filled in, and where each method's came from.

    Raises:
        UserError: the study names none for a method, and the sweep has none for its model; its rules leave no cell.
    """
    filled, sources = dict(study.learning_rates), dict[str, str]()
    for method in study.methods:
        if method in study.learning_rates:
            _require_all(study, method)
            sources[method] = "named in the study"
        elif (rate := _without_sweep(study, method)) is not None:
            filled[method] = [rate]
            sources[method] = "the method's own: it has a strength, and no step size"
        else:
            defaults = {
                (model, task, labels): _swept(study, model, task, labels, method)
                for model in _swept_as(study)
                for task in study.tasks
                for labels in study.labels
            }
            filled[method] = _nested(study, {point: [default.rate] for point, default in defaults.items()})
            about = "; ".join(
                f"{model + ', ' if len(_swept_as(study)) > 1 else ''}{default.source}"
                for (model, _, _), default in defaults.items()
            )
            sources[method] = (
                f"chosen by a sweep on tuning queries that no result uses, trained weights ({about}): {RULE}"
            )
    return make_study(study.model_dump() | {"learning_rates": filled}), sources


def _without_sweep(study: Study, method: str) -> float | None:
    """The rate of a method that needs no sweep."""
    return methods()[study.methods[method]["kind"]].default_rate


def _nested(study: Study, rates: dict[tuple[str, str, Labels], list[float]]) -> Any:
    """By task; by model and by labels where the study has several."""
    models = _swept_as(study)
    of_tasks = {
        model: {
            task: {str(labels): rates[model, task, labels] for labels in study.labels}
            if len(study.labels) > 1
            else rates[model, task, study.labels[0]]
            for task in study.tasks
        }
        for model in models
    }
    return of_tasks if len(models) > 1 else of_tasks[models[0]]


def _swept_as(study: Study) -> list[str]:
    """The models as the sweep knows them: a checkpoint is tuned as the model that it is a state of."""
    return study.model if isinstance(study.model, list) else [study.model]


def _require_all(study: Study, method: str) -> None:
    """
    Raises:
        UserError: rates are named by model, task or labels, and not for all.
    """
    several = [len(names) > 1 for names in (study.models, study.tasks, study.labels)]
    missing = [
        ", ".join(compress(point, several)) or point[1]
        for point in product(study.models, study.tasks, study.labels)
        if study.rates_of(*point, method) is None
    ]
    if missing:
        raise UserError(
            f"learning_rates.{method} has none for {shortened_list(missing)}",
            "rates for every model, task and kind of labels, by model, task and labels in this order",
            "Add them, or list rates for all",
        )


def _swept(study: Study, model: str, task: str, labels: Labels, method: str) -> "DefaultRate":
    """
    Raises:
        UserError: the method, with its options in the study, was not swept on this model.
    """
    as_swept = method not in named_methods() or study.methods[method] == named_methods()[method]
    default = default_rate(model, task, method, labels) if as_swept else None
    if default is None:
        sweep = pd.read_csv(TABLE)
        swept = ", ".join(sorted(set(sweep.method[sweep.model == model]))) or "nothing"
        raise UserError(
            f"No learning rate for {method if as_swept else f'{method} with these options'} on {model}",
            f"one that you choose: on this model {swept} was swept, with its own options",
            f"Pass --learning-rate {method}=0.001 (or several to compare)",
        )
    return default


class DefaultRate(NamedTuple):
    """A learning rate, and the words that say where it comes from."""

    rate: float
    source: str


def default_rate(
    model: str, task: str, method: str, labels: Labels = Labels.GOLD, table: Path = TABLE
) -> DefaultRate | None:
    """The rate of the sweep; None where it has none for this model and method.

    A task that was not swept with these labels takes its rate with gold ones; a task that was not swept at all takes
    the geometric mean over the tasks that were, with these labels, or else with gold ones.
    """
    sweep = pd.read_csv(table)
    sweep = sweep[(sweep.model == model) & (sweep.method == method)]
    of_task, of_labels, of_gold = (
        sweep.task == task.partition("=")[0],  # "cb=my.jsonl" is cb
        sweep.labels == labels,
        sweep.labels == Labels.GOLD,
    )
    not_with_labels = f"with gold labels, for {labels} ones were not swept"
    for rows, why in (
        (sweep[of_task & of_labels], ""),
        (sweep[of_task & of_gold], not_with_labels),
        (sweep[of_labels], f"the mean over {_listed(sweep[of_labels].task)}, for it was not swept"),
        (sweep[of_gold], f"the mean over {_listed(sweep[of_gold].task)} {not_with_labels}, nor was the task"),
    ):
        best = best_rate(rows)
        if best is not None:
            return DefaultRate(best.rate, f"{_labelled(task, labels)} from {_described(rows, why, best)}")
    return None


def _labelled(task: str, labels: Labels) -> str:
    return task if labels == Labels.GOLD else f"{task} with {labels.words}"


def _described(rows: pd.DataFrame, why: str, best: "BestRate") -> str:
    parts = [why] if why else []
    sets = len(rows[["task", "labels", "k", "seed"]].drop_duplicates())
    parts += [f"k = {_listed(rows.k)}", f"{sets} demonstration set{'s' * (sets > 1)}"]
    parts += [f"prompts beginning with {' or '.join(sorted(set(rows.bos)))}"]
    if not best.is_as_large:
        parts.append("the largest rate that does not diverge, for it does before its update is as large as ICL's")
    return ", ".join(parts)


def _listed(values: "pd.Series[Any]") -> str:
    return ", ".join(str(value) for value in sorted(set(values)))


class BestRate(NamedTuple):
    """What the rule makes of rows of the sweep."""

    rate: float
    is_as_large: bool
    """Whether FT's update is as large as ICL's there; False: it diverges before."""


def best_rate(rows: pd.DataFrame) -> BestRate | None:
    """The rule, for rows of one model and method, and of any number of tasks and demonstration sets.

    Of each set, the rate at which the size ratio passes 1 for the first time: log-log interpolation between the two
    rates of the grid beside it. Where the rate above diverged, the one below it. Then the geometric mean over the sets
    of a task, and over tasks; but no more than the largest rate below every divergence. Two significant digits.

    None where no set has two such rates: the best of a grid is never at its edge.
    """
    by_task = defaultdict[object, list[_Crossing]](list)
    for (task, *_), of_set in rows.groupby(["task", "labels", "k", "seed"]):
        crossing = _first_crossing(of_set)
        if crossing is not None:
            by_task[task].append(crossing)
    if not by_task:
        return None
    mean = exp(fmean(fmean(log(crossing.rate) for crossing in crossings) for crossings in by_task.values()))
    is_as_large = all(crossing.is_as_large for crossings in by_task.values() for crossing in crossings)
    first_divergence = min(rows.learning_rate[rows.status == "diverged"], default=inf)
    largest = max(rows.learning_rate[rows.learning_rate < first_divergence], default=None)
    if largest is None:  # a set diverges at the smallest rate
        return None
    if mean > largest and first_divergence < inf:
        mean, is_as_large = largest, False
    return BestRate(float(f"{mean:.2g}"), is_as_large)


class _Crossing(NamedTuple):
    rate: float
    is_as_large: bool


def _first_crossing(of_set: pd.DataFrame) -> _Crossing | None:
    """Where the size ratio of a demonstration set passes 1."""
    in_order = of_set[of_set.status != "missing"].sort_values("learning_rate")
    rates, ratios = in_order.learning_rate.tolist(), in_order.update_size_ratio.tolist()
    diverged = (in_order.status == "diverged").tolist()
    for low, high in pairwise(range(len(rates))):
        if diverged[low] or ratios[low] >= 1:
            continue
        if diverged[high]:
            return _Crossing(rates[low], False)
        if ratios[high] >= 1:
            share = -log(ratios[low]) / (log(ratios[high]) - log(ratios[low]))
            return _Crossing(rates[low] ** (1 - share) * rates[high] ** share, True)
    return None
