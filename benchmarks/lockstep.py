"""How fast are fine-tunings in lockstep, beside one by one, and what of this machine's matmul rate is that?

    python benchmarks/lockstep.py [--threads 2] [--repeats 3] [--k 32] [--sets 8] [--tasks trec agnews]

Both take turns in one process, and the matmul rate is measured between them. Seconds are of the wall clock, or, with
`--cpu` and one thread, of the processor, which other work on the machine disturbs less.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from demograd import GradientDescent, LayerCausalGradientDescent, Model, fine_tuned, load_model, load_task
from demograd.learn import FineTuningJob, Method, fine_tuned_together
from demograd.study.language_model.sizes import sequence_sizes
from demograd.study.plan.blueprint import blueprint_of

MODEL = "smollm2-135m"
METHODS: tuple[Method, ...] = (GradientDescent(learning_rate=1e-3), LayerCausalGradientDescent(learning_rate=1e-3))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--k", type=int, default=32)
    arguments.add_argument("--sets", type=int, default=8)
    arguments.add_argument("--tasks", nargs="+", default=["trec", "agnews"])
    arguments.add_argument("--cpu", action="store_true", help="processor seconds")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    model, blueprint = load_model(MODEL), blueprint_of(MODEL)
    print(f"torch {torch.__version__}, {options.threads} threads, float32, {options.sets} sets, k = {options.k}")
    print(
        "task, method: seconds one by one and in lockstep, their ratio, shares of the matmul rate, updates' difference"
    )
    for name in options.tasks:
        task = load_task(name)
        sets = [
            task.training_sequences(model.tokenizer, task.demonstrations(options.k, seed))
            for seed in range(options.sets)
        ]
        for method in METHODS:
            jobs = [FineTuningJob(sequences, method) for sequences in sets]
            operations = sum(method.cost(blueprint, sequence_sizes(sequences)).total for sequences in sets)
            with fine_tuned_together(model, [FineTuningJob(sequences[:1], method) for sequences in sets]):
                pass  # whether the network lets jobs share passes is tried once
            separate, together, rates = [], [], []
            for _ in range(options.repeats):
                separate.append(seconds(clock, lambda jobs=jobs: one_by_one(model, jobs)))
                rates.append(matmul_rate(clock))
                together.append(seconds(clock, lambda jobs=jobs: in_lockstep(model, jobs)))
                rates.append(matmul_rate(clock))
            alone, locked, rate = map(statistics.median, (separate, together, rates))
            print(
                f"{name:7} {method.name:5} {alone:7.1f} s {locked:7.1f} s {alone / locked:6.2f} "
                f"{operations / alone / rate:6.0%} {operations / locked / rate:6.0%} of {rate / 1e9:.0f} GFLOP/s "
                f"{difference(model, jobs):8.1e}",
                flush=True,
            )


def one_by_one(model: Model, jobs: list[FineTuningJob]) -> None:
    for job in jobs:
        with fine_tuned(model, job.sequences, job.method):
            pass


def in_lockstep(model: Model, jobs: list[FineTuningJob]) -> None:
    with fine_tuned_together(model, jobs) as results:
        assert not any(result.notes for result in results), results[0].notes


def difference(model: Model, jobs: list[FineTuningJob]) -> float:
    """The largest ‖ΔW_lockstep − ΔW_alone‖ / ‖ΔW_alone‖ of a job; the two sum in different orders."""
    before = weights(model)
    differences = []
    with fine_tuned_together(model, jobs) as results:
        for job, result in zip(jobs, results, strict=True):
            with fine_tuned(model, job.sequences, job.method):
                alone = weights(model) - before
            with result.loaded():
                differences.append(((weights(model) - before - alone).norm() / alone.norm()).item())
    return max(differences)


def weights(model: Model) -> Tensor:
    """Key and value projections, end to end, in float64."""
    anatomy = model.anatomy
    parts = [part for layer in range(len(anatomy.blocks)) for part in anatomy.key_value_parameters(layer)]
    return torch.cat([part.read().flatten().double() for part in parts])


def matmul_rate(clock: Callable[[], float], size: int = 1024) -> float:
    """Operations per second of one large product."""
    square = torch.randn(size, size)
    return 2 * size**3 / statistics.median(seconds(clock, lambda: square @ square) for _ in range(10))


def seconds(clock: Callable[[], float], run: Callable[[], object]) -> float:
    start = clock()
    run()
    return clock() - start


if __name__ == "__main__":
    main()
