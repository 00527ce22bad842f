"""Default learning rates: chosen by the held-out label log-likelihood of a sweep that ships as a table."""

from pathlib import Path
from typing import Any

import pandas as pd

from demograd.errors import UserError
from demograd.study.language_model.spec import Rates, Study, make_study
from demograd.study.spec.methods import named_methods

TABLE = Path(__file__).parent / "learning_rates.csv"
"""Columns: model, task, method, k, seed, queries, learning_rate, label_log_likelihood (mean over held-out tuning
queries; empty where it diverged). Made by `benchmarks/sweep_learning_rates.py`."""

RULE = "highest held-out label log-likelihood, mean over the sweep's tasks and demonstration sets"


def _of_model(study: Study, model: str, method: str) -> Rates:
    """A method's rates on a model, for all tasks or task by task; a mapping may be from models, or from tasks."""
    rates: Any = study.learning_rates[method]
    return rates[model] if isinstance(rates, dict) and model in rates else rates


def resolved(study: Study) -> tuple[Study, dict[str, str]]:
    """The study with every learning rate filled in, and where each method's came from.

    Raises:
        UserError: the study names none for a method, and the sweep has none for its model; its rules leave no cell.
    """
    filled, sources = dict(study.learning_rates), dict[str, str]()
    for method in study.methods:
        rates = study.learning_rates.get(method)
        if rates is None:
            swept = {
                model: {task: _swept(study, model, task, method) for task in study.tasks} for model in _swept_as(study)
            }
            best: dict[str, dict[str, list[float]]] = {
                model: {task: [best_rate(rows)] for task, rows in by_task.items()} for model, by_task in swept.items()
            }
            filled[method] = {**best} if len(best) > 1 else {**best[next(iter(best))]}
            about = "; ".join(
                f"{model + ', ' if len(swept) > 1 else ''}{task} from {_described(rows)}"
                for model, by_task in swept.items()
                for task, rows in by_task.items()
            )
            sources[method] = (
                f"chosen by a sweep on tuning queries that no result uses, trained weights ({about}): {RULE}"
            )
        else:
            _require_all(study, method)
            sources[method] = "named in the study"
    return make_study(study.model_dump() | {"learning_rates": filled}), sources


def _swept_as(study: Study) -> list[str]:
    """The models as the sweep knows them: a checkpoint is tuned as the model that it is a state of."""
    return study.model if isinstance(study.model, list) else [study.model]


def _require_all(study: Study, method: str) -> None:
    """
    Raises:
        UserError: rates are named model by model, or task by task, and not for all.
    """
    by_model = any(model in study.models for model in study.learning_rates[method])
    models = study.models if by_model else study.models[:1]
    missing = [model for model in models if by_model and model not in study.learning_rates[method]]
    for model in models if not missing else ():
        if isinstance(rates := _of_model(study, model, method), dict):
            missing += [f"{model}, {task}" if by_model else task for task in study.tasks if task not in rates]
    if missing:
        raise UserError(
            f"learning_rates.{method} has none for {', '.join(missing)}",
            "rates for every model and task",
            "Add them, or list rates for all",
        )


def _swept(study: Study, model: str, task: str, method: str) -> pd.DataFrame:
    """The sweep's rows for a task, or those of all its tasks where it has none for this one."""
    sweep = pd.read_csv(TABLE)
    of_model = sweep[(sweep.model == model) & (sweep.method == method)]
    as_named = method not in named_methods() or study.methods[method] == named_methods()[method]
    if of_model.empty or not as_named or study.loss_on != "all":
        label = method if as_named and study.loss_on == "all" else f"{method} with these options"
        swept = ", ".join(sorted(set(sweep.method[sweep.model == model]))) or "nothing"
        raise UserError(
            f"No learning rate for {label} on {model}",
            f"one that you choose: on this model {swept} was swept, with its own options",
            f"Pass --learning-rate {method}=0.001 (or several to compare)",
        )
    of_task = of_model[of_model.task == task]
    return of_model if of_task.empty else of_task


def _described(rows: pd.DataFrame) -> str:
    begins = " or ".join(sorted(set(rows.bos)))
    return (
        f"{', '.join(sorted(set(rows.task)))} at k = {', '.join(str(k) for k in sorted(set(rows.k)))}, prompts "
        f"beginning with {begins}"
    )


def best_rate(rows: pd.DataFrame) -> float:
    """The rule. A rate that diverged, or was not run, on any task or demonstration set is out."""
    # not a pivot table: that has a row for every pair of task and seed, also where a task was swept on fewer sets
    sets = rows.groupby(["task", "seed", "learning_rate"])["label_log_likelihood"].mean().unstack()
    means = sets.mean(skipna=False).dropna()
    if means.empty:
        raise ValueError("no learning rate was swept on all of its tasks and demonstration sets without diverging")
    return float(means.sort_values(ascending=False, kind="stable").index.to_numpy()[0])
