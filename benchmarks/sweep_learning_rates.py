"""The sweep behind the default learning rates: at which rate is FT's update as large as ICL's?

    python benchmarks/sweep_learning_rates.py [--tasks sst2 mr …] [--methods GD Adam …] [--labels gold abstract] …

Queries are a task's tuning queries, which no result uses, and the demonstration sets have seeds that no preset uses
(1000 and on). A grid is not named but searched: from one rate, by factors of about 3, up or down until the median size
ratio passes 1, so the rate with ratio 1 lies between two that were run; that gap is halved once, and twice where FT
diverges before its update is as large as ICL's. Rows are added to the table as they come, and what is there is not run
again: kill it and go on.

What a row means, and the rule that reads them, is in `demograd.study.spec.learning_rates`.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from demograd import (
    Diverged,
    Model,
    Observation,
    Task,
    TrainingSequence,
    fine_tuned,
    load_model,
    load_task,
    metrics,
    observe,
)
from demograd.learn import Method
from demograd.study.spec.learning_rates import COLUMNS, TABLE, best_rate
from demograd.study.spec.methods import make_method, named_methods
from demograd.tasks import Prompts

FIRST_SEED = 1000
FIRST_RATE = 0.01
BOUNDS = (-12, 8)
"""Of the grid's exponents: 1e-6 to 1e4."""
HALVINGS = 2

Measured = dict[str, object]


def grid_rate(exponent: int) -> float:
    """… 0.01, 0.03, 0.1, 0.3, 1 …; exponent 0 is 1."""
    decade, half = divmod(exponent, 2)
    return float(f"{3 if half else 1}e{decade}")


def search(ratio_at: Callable[[float], float], first: float) -> float:
    """Measure rates until the ratio passes 1 between neighbours of the grid; infinite ratios are diverged runs.

    Returns the lower of the two, a good first rate for the next set; or a bound where there are no two.
    """
    exponent = min(range(*BOUNDS), key=lambda e: abs(math.log(grid_rate(e) / first)))
    below = ratio_at(grid_rate(exponent)) < 1
    step = 1 if below else -1
    while BOUNDS[0] <= exponent + step <= BOUNDS[1]:
        exponent += step
        if (ratio_at(grid_rate(exponent)) < 1) != below:
            break
    else:
        return grid_rate(exponent)
    low = exponent - 1 if below else exponent
    good, bad = grid_rate(low), grid_rate(low + 1)
    for _ in range(HALVINGS if math.isinf(ratio_at(bad)) else 1):
        middle = float(f"{math.sqrt(good * bad):.2g}")
        good, bad = (middle, bad) if ratio_at(middle) < 1 else (good, middle)
    return grid_rate(low)


class Sweep:
    """The table, and the file that it is kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)

    def ratio(self, key: dict[str, object], measure: Callable[[], Measured]) -> float:
        """The size ratio of a row, which is measured unless it is there; infinite where it diverged."""
        is_row = (self.rows[list(key)] == pd.Series(key)).all(axis=1)
        if not is_row.any():
            row = pd.DataFrame([{**key, **measure()}], columns=COLUMNS)
            self.rows = pd.concat([self.rows, row], ignore_index=True) if len(self.rows) else row
            self.rows.to_csv(self.path, index=False, float_format="%.6g")
            print(*(f"{row[column].item()}" for column in COLUMNS), flush=True)
            is_row = self.rows.index == self.rows.index[-1]
        row = self.rows[is_row].iloc[-1]
        return float(row.update_size_ratio) if row.status == "ok" else math.inf


@dataclass(frozen=True)
class Untuned:
    """A task's queries and a demonstration set, and what the model does without and with them."""

    queries: Prompts
    sequences: list[TrainingSequence]
    zsl: Observation
    icl: Observation


def measured(model: Model, untuned: Untuned, method: Method) -> Measured:
    """What a row says of one fine-tuning."""
    try:
        with fine_tuned(model, untuned.sequences, method) as tuned:
            ft = observe(tuned, untuned.queries)
        ratios = metrics.update_size_ratio(untuned.zsl, untuned.icl, ft).double()
        ratio = ratios[ratios > 0].nanquantile(0.5).item()  # zero: in layers below those that the method tunes
        likelihood = metrics.normalised_label_log_likelihood(ft).mean().item()
    except (Diverged, ValueError) as error:  # a ValueError: the weights are finite, and what they give is not
        print(f"{method} {error}")
        return {"status": "diverged"}
    status = "ok" if math.isfinite(ratio) else "missing"
    return {"update_size_ratio": ratio, "likelihood_among_labels": likelihood, "auc": metrics.auc(ft), "status": status}


def sweep_task(
    sweep: Sweep, model: Model, key: dict[str, object], task: Task, seeds: range, first_rates: dict[str, float]
) -> None:
    """Search the grid for each demonstration set and method; `first_rates` is where searches begin, and is moved on."""
    queries = task.tuning_queries(key["queries"])
    zsl_prompts = task.prompts(model.tokenizer, queries)
    zsl = observe(model, zsl_prompts)
    for seed, demonstrations in zip(seeds, task.demonstration_sets(key["k"], seeds), strict=True):
        icl = observe(model, task.prompts(model.tokenizer, queries, demonstrations))
        untuned = Untuned(zsl_prompts, task.training_sequences(model.tokenizer, demonstrations), zsl, icl)
        for name in first_rates:

            def ratio_at(rate: float, name: str = name, seed: int = seed, untuned: Untuned = untuned) -> float:
                method = make_method(name, named_methods()[name], rate)
                row = {**key, "method": name, "seed": seed, "learning_rate": rate}
                return sweep.ratio(row, lambda: measured(model, untuned, method))

            first_rates[name] = search(ratio_at, first_rates[name])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="smollm2-135m")
    arguments.add_argument("--tasks", nargs="+", default=["sst2", "sst5", "mr", "subj", "agnews", "trec"])
    arguments.add_argument("--labels", nargs="+", default=["gold", "abstract"])
    arguments.add_argument("--methods", nargs="+", default=["GD", "LCGD"], choices=named_methods())
    arguments.add_argument("--k", type=int, default=16)
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--queries", type=int, default=24)
    arguments.add_argument("--table", type=Path, default=TABLE)
    options = arguments.parse_args()
    sweep, model = Sweep(options.table), load_model(options.model)
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    first_rates = dict.fromkeys(options.methods, FIRST_RATE)  # then where the last search ended
    for labels in options.labels:
        for name in options.tasks:
            key = {
                "model": options.model,
                "task": name.partition("=")[0],
                "labels": labels,
                "k": options.k,
                "queries": options.queries,
                "bos": model.tokenizer.bos_token,
            }
            sweep_task(sweep, model, key, load_task(name).with_labels(labels), seeds, first_rates)
    for (task_name, labels, method), rows in sweep.rows.groupby(["task", "labels", "method"]):
        print(f"{task_name:8} {labels:8} {method:12} {best_rate(rows)}")


if __name__ == "__main__":
    main()
