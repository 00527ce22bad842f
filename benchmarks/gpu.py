"""What a machine with a GPU must show: tests on CUDA, and fine-tuning and matching with 1.3 billion parameters.

    python benchmarks/gpu.py           # minutes on a GPU
    python benchmarks/gpu.py --tiny    # the same with tiny sizes, on any CPU; its times mean nothing

Weights are drawn at random and tokens are random ids: nothing is downloaded. In bfloat16 and in float32, GD and LCGD
fine-tune all demonstration sets one by one and in lockstep, and all prompts are matched with all fine-tunings. Prints a
table of seconds and of shares of the rate at which this machine multiplies matrices; exits with 1 where a check fails.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from demograd import (
    Diverged,
    GradientDescent,
    LayerCausalGradientDescent,
    Model,
    Prompts,
    TrainingSequence,
    fine_tuned,
    metrics,
    observe,
)
from demograd.learn import FineTuningJob, Method, fine_tuned_together
from demograd.learn.cost import SequenceSizes
from demograd.models import find_anatomy
from demograd.study.plan.blueprint import Blueprint

# How an architecture's configuration calls hidden size, width of the MLP, layers and heads. With 2048, 8192, 24 and 32,
# XGLM is fairseq-dense-1.3B; Llama's MLP has three matrices, so it is narrower.
NAMES = {
    "xglm": ("d_model", "ffn_dim", "num_layers", "attention_heads"),
    "llama": ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
}
BIG = {"xglm": (2048, 8192, 24, 32), "llama": (2048, 5632, 24, 32)}
TINY = {"xglm": (64, 96, 3, 4), "llama": (64, 96, 3, 4)}
METHODS: list[Method] = [GradientDescent(learning_rate=0.03), LayerCausalGradientDescent(learning_rate=0.003)]
# ‖ΔW − ΔW′‖ / ‖ΔW‖ of lockstep and one by one: sums in another order; in 16 bit each step also rounds
TOLERANCES = {torch.bfloat16: 0.2, torch.float32: 1e-3}


@dataclass(frozen=True)
class Sizes:
    """How much there is to do."""

    sets: int
    k: int
    queries: int
    tokens: int
    """In a demonstration and in a query, on average."""
    square: int
    """Rows of the matrices whose product is timed."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--tiny", action="store_true")
    arguments.add_argument("--architecture", default="xglm", choices=sorted(BIG))
    arguments.add_argument("--device", help="cuda; with --tiny: cpu")
    arguments.add_argument("--sets", type=int, default=8)
    arguments.add_argument("--k", type=int, help="32; with --tiny: 4")
    arguments.add_argument("--queries", type=int, help="64; with --tiny: 6")
    options = arguments.parse_args()
    device = torch.device(options.device or ("cpu" if options.tiny else "cuda"))
    on_gpu = device.type == "cuda"
    if on_gpu and not torch.cuda.is_available():
        sys.exit("No CUDA device is here. With --tiny the script runs on the CPU")
    k, queries, tokens = (4, 6, 8) if options.tiny else (32, 64, 20)
    sizes = Sizes(options.sets, options.k or k, options.queries or queries, tokens, square=8192 if on_gpu else 1024)
    machine = torch.cuda.get_device_name(device) if on_gpu else f"CPU with {torch.get_num_threads()} threads"
    print(f"{machine}, torch {torch.__version__}, {sizes}", flush=True)
    shape = dict(zip(NAMES[options.architecture], (TINY if options.tiny else BIG)[options.architecture], strict=True))
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(
        options.architecture,
        **shape,
        **special,
        vocab_size=97 if options.tiny else 50_264,
        max_position_embeddings=2048,
    )
    passed = [device_tests()]
    for dtype in TOLERANCES:
        passed += measured(config, dtype, device, sizes)
    print(f"\n{sum(passed)} of {len(passed)} checks passed")
    sys.exit(0 if all(passed) else 1)


def device_tests() -> bool:
    """The tests that are the same on every device, on those that are here."""
    tests = Path(__file__).parents[1] / "tests" / "test_devices.py"
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tests)]
    return check("tests of devices", subprocess.run(command, cwd=tests.parents[1], check=False).returncode == 0)


def measured(config: Any, dtype: torch.dtype, device: torch.device, sizes: Sizes) -> list[bool]:
    """Fine-tuning one by one and in lockstep, and matching, in one dtype: which checks pass."""
    torch.manual_seed(0)
    with device:
        network = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    name = str(dtype).removeprefix("torch.")
    model = Model(f"random {config.model_type}", network, None, find_anatomy(network), dtype=name)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sets = demonstration_sets(sizes, config.vocab_size)
    rate = matmul_rate(sizes.square, dtype, device)
    print(f"\n{model!r}; matmul {rate / 1e12:.3g} TFLOP/s")
    row("", "one by one", "lockstep", "ratio", "of matmul, one by one", "of matmul, lockstep", "updates differ by")
    blueprint = Blueprint(model.name, config)
    passed = []
    try:
        passed += [lockstep(model, blueprint, method, sets, rate, TOLERANCES[dtype]) for method in METHODS]
        passed.append(matching(model, sets, sizes))
    except Diverged as diverged:
        passed.append(check(str(diverged), False))
    restored = all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    return [*passed, check("every weight is put back bit for bit", restored)]


Sets = Sequence[Sequence[TrainingSequence]]


def lockstep(model: Model, blueprint: Blueprint, method: Method, sets: Sets, rate: float, tolerance: float) -> bool:
    """Fine-tune every set alone, then all together; print times, and how far the updates of two sets differ."""
    with fine_tuned(model, sets[0][:1], method):
        pass  # kernels are loaded before anything is timed
    untuned, compared = trained_values(model), sorted({0, len(sets) - 1})
    start = now(model.anatomy.device)
    for sequences in sets:
        with fine_tuned(model, sequences, method):
            pass
    middle = now(model.anatomy.device)
    with fine_tuned_together(model, [FineTuningJob(sequences, method) for sequences in sets]) as results:
        end, differences = now(model.anatomy.device), []
        for place in compared:
            with results[place].loaded() as tuned:
                together = trained_values(tuned) - untuned
            with fine_tuned(model, sets[place], method) as tuned:
                alone = trained_values(tuned) - untuned
            differences.append(((together - alone).norm() / alone.norm()).item())
        notes = sorted({note for result in results for note in result.notes})
    lengths = [SequenceSizes(len(sequence.tokens), sum(sequence.loss_mask)) for own in sets for sequence in own]
    work = method.cost(blueprint, lengths).total / rate
    alone_seconds, together_seconds = middle - start, end - middle
    row(
        method.name,
        f"{alone_seconds:.2f} s",
        f"{together_seconds:.2f} s",
        f"{alone_seconds / together_seconds:.2f}",
        f"{work / alone_seconds:.1%}",
        f"{work / together_seconds:.1%}",
        f"{max(differences):.1e}",
    )
    print("".join(f"  {note}\n" for note in notes), end="")
    return check(f"{method.name} in lockstep equals one by one to {tolerance:g}", max(differences) <= tolerance)


def matching(model: Model, sets: Sets, sizes: Sizes) -> bool:
    """Match all prompts with all fine-tunings by GD: SimAOU of every pair, the mean over queries and layers."""
    queries = random_ids(sizes.queries, sizes.tokens, model.network.config.vocab_size, seed=len(sets))
    start = now(model.anatomy.device)
    zsl = observe(model, prompts([0], queries))
    icl = [observe(model, prompts([0, *(id for own in set for id in [*own.tokens[1:], 2])], queries)) for set in sets]
    columns = []
    with fine_tuned_together(model, [FineTuningJob(sequences, METHODS[0]) for sequences in sets]) as results:
        for result in results:
            with result.loaded() as tuned:
                ft = observe(tuned, prompts([0], queries))
            columns.append(torch.stack([metrics.sim_aou(zsl, own, ft) for own in icl]))
    scores = torch.stack(columns, dim=1)  # [prompts, fine-tunings, queries, layers]
    missing = scores.isnan().float().mean().item()
    matrix = scores.nanmean(dim=(-2, -1))
    matched = matrix.diagonal().mean()
    mismatched = (matrix.sum() - matrix.diagonal().sum()) / (matrix.numel() - len(matrix))
    seconds = now(model.anatomy.device) - start
    print(
        f"matching {len(sets)} × {len(sets)}, GD: {seconds:.2f} s; SimAOU matched {matched:.4f}, mismatched "
        f"{mismatched:.4f}, specificity {matched - mismatched:.4f}; {missing:.1%} of the values are below resolution"
    )
    return check("no mean of the matrix is missing", bool(matrix.isfinite().all()))


def prompts(context: list[int], queries: list[list[int]]) -> Prompts:
    """These queries behind this context, with two answers of a token."""
    return Prompts(context, queries, [[5], [6]], [0] * len(queries))


def demonstration_sets(sizes: Sizes, vocabulary: int) -> list[list[TrainingSequence]]:
    """Sets of k sequences of random tokens, all of which are learned."""
    return [
        [
            TrainingSequence([0, *ids], [False] + [True] * len(ids))
            for ids in random_ids(sizes.k, sizes.tokens, vocabulary, seed)
        ]
        for seed in range(sizes.sets)
    ]


def random_ids(count: int, tokens: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Lists of token ids, half as long to one and a half times as long as the average."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(tokens // 2, 3 * tokens // 2 + 1, (count,), generator=generator).tolist()
    return [torch.randint(7, vocabulary, (length,), generator=generator).tolist() for length in lengths]


def trained_values(model: Model) -> Tensor:
    """Key and value projections of all layers in one row, in float32."""
    slices = [part for layer in range(len(model.anatomy.blocks)) for part in model.anatomy.key_value_parameters(layer)]
    return torch.cat([part.read().flatten().float() for part in slices])


def matmul_rate(square: int, dtype: torch.dtype, device: torch.device, repeats: int = 10) -> float:
    """Operations per second of one large product."""
    matrix = torch.randn(square, square, device=device, dtype=dtype)
    seconds = []
    for _ in range(repeats):
        start = now(device)
        matrix @ matrix
        seconds.append(now(device) - start)
    return 2 * square**3 / min(seconds)


def now(device: torch.device) -> float:
    """Seconds, when everything that was begun on the device has ended."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def check(what_holds: str, holds: bool) -> bool:
    print(f"{'passed' if holds else 'FAILED'}: {what_holds}", flush=True)
    return holds


def row(*cells: str) -> None:
    print(cells[0].ljust(8) + "".join(cell.rjust(23) for cell in cells[1:]))


if __name__ == "__main__":
    main()
