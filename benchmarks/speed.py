"""How fast are packed observation and LCGD, beside what the token counts and this machine's matmul allow?

    python benchmarks/speed.py [--threads 2] [--repeats 5]

Prints one table. Every ratio is of medians of runs that took turns in this process: absolute times are noisy.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import cross_entropy
from transformers import XGLMConfig, XGLMForCausalLM

from demograd import (
    GradientDescent,
    LayerCausalGradientDescent,
    Model,
    ParameterSubset,
    Prompts,
    TrainingSequence,
    fine_tuned,
    load_model,
    load_task,
    observe,
)
from demograd.learn.parameters import trained_layers
from demograd.models import find_anatomy
from demograd.observe import attention_routed
from demograd.observe.attention import causal_attention


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    smol = load_model("smollm2-135m")
    task = load_task("mr")
    real = task.prompts(smol.tokenizer, task.queries(50), task.demonstrations(32))
    demonstrations = task.training_sequences(smol.tokenizer, task.demonstrations(4))
    print(f"torch {torch.__version__}, {options.threads} threads, float32, median of {options.repeats}")
    for name, model, prompts in (
        ("smollm2-135m, MR, k = 32", smol, real),
        ("random XGLM 12 x 768", random_xglm(), random_prompts(947, 50, 30)),
    ):
        print(f"\n{name}: context {len(prompts.context)}, {len(prompts.queries)} queries")
        packed_observation(model, prompts, options.repeats)
    print("\nfine-tuning, smollm2-135m, one step per demonstration")
    fine_tuning(smol, demonstrations, options.repeats)
    print(f"\npeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def packed_observation(model: Model, prompts: Prompts, repeats: int) -> None:
    """Packed ICL against encoding every prompt whole, with SDPA, last logits only, no cache and nothing recorded."""
    middle = sorted(prompts.queries, key=len)[len(prompts.queries) // 2]
    whole = torch.tensor([prompts.context + middle])
    size = 2048
    square = torch.randn(size, size)

    def one_by_one() -> None:
        # XGLM itself knows no SDPA: routed, every model uses it
        with torch.inference_mode(), attention_routed(model.anatomy, causal_attention):
            model.network(input_ids=whole, use_cache=False, logits_to_keep=1)

    packed, separate, matmul = medians(repeats, lambda: observe(model, prompts), one_by_one, lambda: square @ square)
    n, c = len(prompts.queries), len(prompts.context)
    q = sum(map(len, prompts.queries)) / n
    # the reference is timed on a prompt of the median length and scaled to the mean one
    per_query = separate * (c + q) / whole.shape[1]
    ratio, allowed = per_query * n / packed, (c + q) / (c / n + q)
    done = operations(model, prompts) / packed
    machine = 2 * size**3 / matmul
    row("packed", f"{packed:.2f} s for all queries", f"{1e3 * packed / n:.0f} ms a query")
    row("one by one", f"{per_query * n:.1f} s for all queries", f"{1e3 * per_query:.0f} ms a query")
    row("ratio", f"{ratio:.1f}", f"the token counts allow {allowed:.1f}: {ratio / allowed:.0%} of it")
    row("matmul rate", f"{done / 1e9:.0f} GFLOP/s", f"the machine's {machine / 1e9:.0f}: {done / machine:.0%} of it")


def operations(model: Model, prompts: Prompts) -> float:
    """Floating-point operations that a packed observation needs: projections, attention, scored vocabulary rows."""
    block = model.anatomy.blocks[0]
    weights = sum(parameter.numel() for parameter in block.parameters() if parameter.dim() == 2)
    layers, hidden = len(model.anatomy.blocks), model.network.config.hidden_size
    c, lengths = len(prompts.context), [len(query) for query in prompts.queries]
    tokens = c + sum(lengths)
    pairs = c * (c + 1) / 2 + sum(c * length + length * (length + 1) / 2 for length in lengths)
    vocabulary = model.network.config.vocab_size * hidden * len(lengths)
    return 2 * layers * weights * tokens + 4 * layers * hidden * pairs + 2 * vocabulary


def fine_tuning(model: Model, sequences: Sequence[TrainingSequence], repeats: int) -> None:
    """An LCGD step against a GD step plus the time of LCGD's extra vocabulary projections."""

    def tune(method: GradientDescent | LayerCausalGradientDescent) -> Callable[[], None]:
        def run() -> None:
            with fine_tuned(model, sequences, method):
                pass

        return run

    def enter_and_leave() -> None:
        with trained_layers(model.anatomy, ParameterSubset()):
            pass

    def projections() -> None:
        """What LCGD reads out beyond GD: every layer but the last, forward and backward, one layer at a time."""
        for sequence in sequences:
            rows = len(sequence.tokens) - 1
            hidden = torch.randn(rows, model.network.config.hidden_size, requires_grad=True)
            targets = torch.tensor(sequence.tokens[1:])
            for _ in model.anatomy.blocks[1:]:
                loss = cross_entropy(model.anatomy.readout(hidden), targets)
                torch.autograd.grad(loss, hidden)

    gd, lcgd, extra, entering = medians(
        repeats,
        tune(GradientDescent(learning_rate=1e-4)),
        tune(LayerCausalGradientDescent(learning_rate=1e-4)),
        projections,
        enter_and_leave,
    )
    steps = len(sequences)
    gd, lcgd, extra = ((time_ - share) / steps for time_, share in ((gd, entering), (lcgd, entering), (extra, 0)))
    row("GD step", f"{gd:.2f} s")
    row("LCGD step", f"{lcgd:.2f} s", f"{lcgd / (2 * gd + extra):.2f} of the bound 2 GD + projections")
    row("extra projections", f"{extra:.2f} s", "timed one layer at a time")


def medians(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function; they take turns, so that a slow moment slows all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for repeat in range(repeats + 1):
        for function, own in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if repeat:  # the first warms up
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def random_xglm() -> Model:
    """The architecture of the published models, at the size that the reference times were taken at."""
    config = XGLMConfig(
        vocab_size=50_264,
        d_model=768,
        ffn_dim=3072,
        num_layers=12,
        attention_heads=12,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )
    torch.manual_seed(0)
    network = XGLMForCausalLM(config).eval().requires_grad_(False)
    return Model("random XGLM", network, None, find_anatomy(network))


def random_prompts(context: int, n: int, mean_length: int) -> Prompts:
    generator = torch.Generator().manual_seed(0)

    def tokens(count: int) -> list[int]:
        return torch.randint(4, 50_000, (count,), generator=generator).tolist()

    lengths = torch.randint(mean_length // 2, 3 * mean_length // 2 + 1, (n,), generator=generator).tolist()
    return Prompts(tokens(context), [tokens(length) for length in lengths], [[5], [6]], [0] * n)


def row(*cells: str) -> None:
    print("  ".join(cell.ljust(26) for cell in cells))


if __name__ == "__main__":
    main()
