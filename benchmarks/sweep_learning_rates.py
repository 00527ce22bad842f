"""The sweep behind the default learning rates: at which rate is FT's update as large as ICL's?

    python benchmarks/sweep_learning_rates.py [--tasks sst2 mr …] [--methods GD Adam …] [--labels gold abstract] …

Queries are a task's tuning queries, which no result uses, and the demonstration sets have seeds that no preset uses
(1000 and on). A grid is not named but searched: from the two rates beside the one that the table has for what is
nearest, by factors of about 3, up or down until the median size ratio passes 1, so the rate with ratio 1 lies between
two that were run; that gap is halved once, and twice where FT diverges before its update is as large as ICL's. The sets
of a task, and their rates, are trained together. Rows are added to the table as they come, and what is there is not run
again: kill it and go on.

What a row means, and the rule that reads them, is in `demograd.study.spec.learning_rates`.
"""

import argparse
import math
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from demograd import Diverged, Model, Observation, Task, load_model, load_task, metrics, observe
from demograd.learn import FineTuned, FineTuningJob, Method, fine_tuned_together
from demograd.study.spec.learning_rates import COLUMNS, TABLE, best_rate, default_rate
from demograd.study.spec.methods import make_method, named_methods
from demograd.words import Labels

FIRST_SEED = 1000
FIRST_RATE = 0.01
"""Where the search begins for a method that is in no row."""
BOUNDS = (-12, 8)
"""Of the grid's exponents: 1e-6 to 1e4."""

Key = dict[str, object]


def grid_rate(exponent: int) -> float:
    """… 0.01, 0.03, 0.1, 0.3, 1 …; exponent 0 is 1."""
    decade, half = divmod(exponent, 2)
    return float(f"{3 if half else 1}e{decade}")


def next_rates(ratios: Mapping[float, float], first: float) -> list[float]:
    """The rates of a demonstration set to run next; none: the search has ended.

    Args:
        ratios: the size ratio at each rate that was run, infinite where FT diverged, NaN where ICL has no update.
        first: where the search begins.
    """
    if any(math.isnan(ratio) for ratio in ratios.values()):
        return []
    lowest, highest = BOUNDS
    on_grid = [exponent for exponent in range(lowest, highest + 1) if grid_rate(exponent) in ratios]
    if not on_grid:
        exponent = max((e for e in range(lowest, highest) if grid_rate(e) <= first), default=lowest)
        return [grid_rate(exponent), grid_rate(exponent + 1)]
    is_below = [ratios[grid_rate(exponent)] < 1 for exponent in on_grid]
    if all(is_below):
        return [grid_rate(on_grid[-1] + 1)] if on_grid[-1] < highest else []
    if not is_below[0]:
        return [grid_rate(on_grid[0] - 1)] if on_grid[0] > lowest else []
    above = is_below.index(False)
    good, bad = grid_rate(on_grid[above - 1]), grid_rate(on_grid[above])
    halved = [rate for rate in ratios if good < rate < bad]
    if len(halved) >= (2 if math.isinf(ratios[bad]) else 1):
        return []
    for rate in sorted(halved):
        good, bad = (rate, bad) if ratios[rate] < 1 else (good, min(bad, rate))
    return [float(f"{math.sqrt(good * bad):.2g}")]


class Sweep:
    """The table, and the file that it is kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
        self._save()

    def ratios(self, key: Key) -> dict[float, float]:
        """The size ratios of a demonstration set by learning rate; infinite where FT diverged."""
        rows = self.rows[(self.rows[list(key)] == pd.Series(key)).all(axis=1)]
        ratios = rows.update_size_ratio.where(rows.status != "diverged", math.inf)
        return dict(zip(rows.learning_rate.astype(float), ratios.astype(float), strict=True))

    def add(self, row: dict[str, object]) -> None:
        added = pd.DataFrame([row], columns=COLUMNS)
        self.rows = pd.concat([self.rows, added], ignore_index=True) if len(self.rows) else added
        self._save()
        print(*(f"{value:.3g}" if isinstance(value, float) else value for value in row.values()), flush=True)

    def first_rate(self, model: str, task: str, labels: str, method: str) -> float:
        """The default rate as the table is now; that of another model where this one has none."""
        for name in dict.fromkeys([model, *self.rows.model]):
            default = default_rate(name, task, method, Labels(labels), self.path)
            if default is not None:
                return default.rate
        return FIRST_RATE

    def _save(self) -> None:
        self.rows.to_csv(self.path, index=False, float_format="%.6g")


class Untuned:
    """A task's tuning queries and demonstration sets, and what the model does without and with them, if it is asked."""

    def __init__(self, model: Model, task: Task, key: Key, seeds: range) -> None:
        self.model, self.task, self.queries = model, task, task.tuning_queries(key["queries"])
        self.sets = dict(zip(seeds, task.demonstration_sets(key["k"], seeds), strict=True))
        self.zsl_prompts = task.prompts(model.tokenizer, self.queries)
        self._icl: dict[int, Observation] = {}

    @cached_property
    def zsl(self) -> Observation:
        return observe(self.model, self.zsl_prompts)

    def icl(self, seed: int) -> Observation:
        if seed not in self._icl:
            prompts = self.task.prompts(self.model.tokenizer, self.queries, self.sets[seed])
            self._icl[seed] = observe(self.model, prompts)
        return self._icl[seed]

    def job(self, seed: int, method: Method) -> FineTuningJob:
        return FineTuningJob(self.task.training_sequences(self.model.tokenizer, self.sets[seed]), method)


def measured(fine_tuning: FineTuned, untuned: Untuned, seed: int) -> dict[str, object]:
    """What a row says of one fine-tuning."""
    try:
        with fine_tuning.loaded() as tuned:
            ft = observe(tuned, untuned.zsl_prompts)
        ratio = metrics.median_size_ratio([metrics.update_size_ratio(untuned.zsl, untuned.icl(seed), ft)])
        ratio = ratio or math.nan  # zero: nothing changed
        likelihood = metrics.normalised_label_log_likelihood(ft).mean().item()
    except (Diverged, ValueError) as error:  # a ValueError: the weights are finite, and what they give is not
        print(f"{fine_tuning.job.method} {error}")
        return {"status": "diverged"}
    status = "ok" if math.isfinite(ratio) else "missing"
    return {"update_size_ratio": ratio, "likelihood_among_labels": likelihood, "auc": metrics.auc(ft), "status": status}


def search(sweep: Sweep, untuned: Untuned, key: Key, seeds: range, name: str) -> None:
    """Search the grid for one method, with all demonstration sets at a time, until it has ended for each."""
    first = sweep.first_rate(*(str(key[column]) for column in ("model", "task", "labels")), name)
    key = {**key, "method": name}
    while points := [(seed, rate) for seed in seeds for rate in next_rates(sweep.ratios({**key, "seed": seed}), first)]:
        started = time.perf_counter()
        jobs = [untuned.job(seed, make_method(name, named_methods()[name], rate)) for seed, rate in points]
        with fine_tuned_together(untuned.model, jobs) as results:
            for (seed, rate), result in zip(points, results, strict=True):
                sweep.add({**key, "seed": seed, "learning_rate": rate, **measured(result, untuned, seed)})
        print(f"{len(jobs)} in {time.perf_counter() - started:.0f} s", flush=True)


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
            untuned = Untuned(model, load_task(name).with_labels(labels), key, seeds)
            for method in options.methods:
                search(sweep, untuned, key, seeds, method)
    for point, rows in sweep.rows.groupby(["model", "task", "labels", "method"]):
        print(f"{' '.join(point)}: {best_rate(rows)}")


if __name__ == "__main__":
    main()
