"""The sweep behind the default learning rates: held-out label log-likelihood of GD and LCGD over a grid of rates.

    python benchmarks/sweep_learning_rates.py [--tasks sst2 mr …] [--methods GD Adam …] [--k 8] [--seeds 2] …

Queries are a task's tuning queries, which no result uses, and the demonstration sets have seeds that no preset uses
(1000 and on). Rows are added to the table that ships with demograd; what is there already is not run again. The rule,
the rate with the highest mean over demonstration sets, is `demograd.study.spec.learning_rates.best_rate`.
"""

import argparse

import pandas as pd

from demograd import Diverged, fine_tuned, load_model, load_task, metrics
from demograd import observe as observed_on
from demograd.study.spec.learning_rates import TABLE, best_rate
from demograd.study.spec.methods import make_method, named_methods

RATES = [3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
FIRST_SEED = 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="smollm2-135m")
    arguments.add_argument("--tasks", nargs="+", default=["sst2", "sst5", "mr", "subj", "agnews", "trec"])
    arguments.add_argument("--methods", nargs="+", default=["GD", "LCGD"], choices=named_methods())
    arguments.add_argument("--rates", nargs="+", type=float, default=RATES)
    arguments.add_argument("--k", type=int, default=8)
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--queries", type=int, default=48)
    options = arguments.parse_args()
    model = load_model(options.model)
    table = pd.read_csv(TABLE)
    for task_name in options.tasks:
        task = load_task(task_name)
        prompts = task.prompts(model.tokenizer, task.tuning_queries(options.queries))
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            sequences = task.training_sequences(model.tokenizer, task.demonstrations(options.k, seed))
            for name in options.methods:
                for rate in options.rates:
                    key = {
                        "model": options.model,
                        "task": task_name,
                        "method": name,
                        "k": options.k,
                        "seed": seed,
                        "queries": options.queries,
                        "learning_rate": rate,
                        "bos": model.tokenizer.bos_token,
                    }
                    if (table[list(key)] == pd.Series(key)).all(axis=1).any():
                        continue
                    try:
                        with fine_tuned(model, sequences, make_method(name, named_methods()[name], rate)) as tuned:
                            likelihood = metrics.label_log_likelihood(observed_on(tuned, prompts)).mean().item()
                    except Diverged as diverged:
                        print(f"{key}: {diverged}")
                        likelihood = None
                    row = pd.DataFrame([{**key, "label_log_likelihood": likelihood}])
                    table = pd.concat([table, row], ignore_index=True) if len(table) else row
                    table.to_csv(TABLE, index=False, float_format="%.6g")
                    print(f"{task_name} {name} seed {seed} rate {rate:g}: {likelihood}", flush=True)
    for (task_name, method_name), rows in table.groupby(["task", "method"]):
        print(f"{task_name:8} {method_name:5} {best_rate(rows):g}")


if __name__ == "__main__":
    main()
