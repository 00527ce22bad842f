"""Default learning rates: chosen by the held-out label log-likelihood of a sweep that ships as a table."""

from pathlib import Path

import pandas as pd

from demograd.errors import UserError
from demograd.study.schema import MethodName, Study

TABLE = Path(__file__).parent / "learning_rates.csv"
"""Columns: model, task, method, k, seed, queries, learning_rate, label_log_likelihood (mean over held-out tuning
queries; empty where it diverged). Made by `benchmarks/sweep_learning_rates.py`."""

RULE = "highest held-out label log-likelihood, mean over the sweep's demonstration sets"


def rates_of(study: Study, task: str, method: MethodName) -> list[float]:
    """The rates of a resolved study."""
    rates = study.learning_rates[method]
    return rates[task] if isinstance(rates, dict) else rates


def resolved(study: Study) -> tuple[Study, dict[str, str]]:
    """The study with every learning rate filled in, and where each method's came from.

    Raises:
        UserError: the study names none for a method, and the sweep has none for its model.
    """
    filled, sources = dict(study.learning_rates), dict[str, str]()
    for method in study.methods:
        given = study.learning_rates.get(method)
        if given is None:
            filled[method] = {task: [_swept(study, task, method)] for task in study.tasks}
            sources[method] = f"chosen by a sweep on tuning queries that no result uses: {RULE}"
        elif isinstance(given, dict) and (missing := [task for task in study.tasks if task not in given]):
            raise UserError(f"learning_rates.{method} has none for {', '.join(missing)}", "rates for every task",
                            "Add them, or list rates for all tasks")  # fmt: skip
        else:
            sources[method] = "given by the user"
    return study.model_copy(update={"learning_rates": filled}), sources


def _swept(study: Study, task: str, method: MethodName) -> float:
    sweep = pd.read_csv(TABLE)
    of_model = sweep[(sweep.model == study.model) & (sweep.method == method)]
    if of_model.empty:
        raise UserError(f"No learning rate for {method} on {study.model}",
                        "one that you choose: only the default model's was swept",
                        f"Pass --learning-rate {method}=0.001 (or several to compare)")  # fmt: skip
    of_task = of_model[of_model.task == task]
    return best_rate(of_model if of_task.empty else of_task)


def best_rate(rows: pd.DataFrame) -> float:
    """The rule. A rate that diverged for any demonstration set is out."""
    scores = rows.groupby("learning_rate").label_log_likelihood.agg(lambda values: values.mean(skipna=False))
    if scores.isna().all():
        raise ValueError("every swept learning rate diverged")
    return float(scores.sort_values(ascending=False, kind="stable").index.to_numpy()[0])
