"""How fast is the training loop of small transformers, beside this machine's own matrix products?

    python benchmarks/training.py [--threads 1] [--steps 100]

Sequences per second, and the share of the machine's matmul rate: forward and backward operations of the network alone,
without drawing data and without Adam, over the time of whole steps. How much of these draws data is beside it: a few
per cent, but half in a kernel's world, which takes the eigenvectors of a matrix for each sequence.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch

from demograd.synthetic import (
    Architecture,
    KernelRegression,
    LinearRegression,
    LinearSystem,
    SmallTransformer,
    TrainingRecipe,
    World,
    train,
    width_of,
)

ROWS = (
    ("linear, 1 layer, d = 10, n = 10", Architecture(), LinearRegression(10), 10),
    ("linear, 3 layers, d = 5, n = 20", Architecture(layers=3), LinearRegression(5), 20),
    ("softmax, 3 layers, d = 5, n = 14", Architecture("softmax", layers=3), LinearRegression(5), 14),
    ("linear, 3 layers, d = 64, n = 64", Architecture(layers=3, initial_scale=0.02), LinearRegression(64), 64),
    (
        "exponential, 3 layers, kernel world",
        Architecture("exponential", 3, initial_scale=0.1),
        KernelRegression(5, "exponential"),
        14,
    ),
    (
        "linear, 4 × 2 heads, linear system",
        Architecture(layers=4, heads=2, initial_scale=0.1),
        LinearSystem(5, start="sphere"),
        30,
    ),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--steps", type=int, default=100)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = matmul_rate()
    print(f"torch {torch.__version__}, {options.threads} threads, float32; matmul {machine / 1e9:.0f} GFLOP/s")
    for name, architecture, world, context in ROWS:
        batch, system = 512, isinstance(world, LinearSystem)
        width = width_of(world.dimension, system=system)
        network = SmallTransformer(architecture, width, seed=0)
        seconds = step_seconds(network, world, context, batch, options.steps)
        rate = operations(architecture, width, context, batch, causal=system) / seconds
        drawing = medians(partial(world.draw, batch, context, torch.Generator().manual_seed(0)), 50)
        print(
            f"{name:36} {batch / seconds:10,.0f} sequences/s {rate / machine:6.1%} of the matmul rate, "
            f"{drawing / seconds:4.0%} of the time draws data"
        )


def step_seconds(network: SmallTransformer, world: World | LinearSystem, context: int, batch: int, steps: int) -> float:
    """The median step of the loop itself."""
    at: list[float] = []
    train(
        network,
        world,
        context,
        TrainingRecipe(steps=steps, batch=batch, learning_rate=1e-4),
        0,
        on_step=lambda done: at.append(time.perf_counter()),
    )
    return statistics.median(after - before for before, after in pairwise(at))


def operations(architecture: Architecture, width: int, context: int, batch: int, *, causal: bool) -> float:
    """Multiplications and additions of one step: backward takes twice what forward takes."""
    tokens, forward = context + (not causal), 0.0
    for layer in range(architecture.layers):
        asking = 1 if layer == architecture.layers - 1 and not causal else tokens
        if architecture.attention == "linear" and not causal:
            per_sequence = 2 * context * width**2 + 4 * width**3 + 2 * asking * width**2
        else:
            per_sequence = 2 * asking * width**2 + 4 * asking * context * width + 2 * context * width**2
        forward += architecture.heads * (batch * per_sequence + 4 * width**3)
    return 3 * forward


def matmul_rate(size: int = 1024) -> float:
    """Operations per second of one large product."""
    square = torch.randn(size, size)
    return 2 * size**3 / medians(lambda: square @ square, 20)


def medians(run: Callable[[], object], repeats: int) -> float:
    """Median seconds."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
