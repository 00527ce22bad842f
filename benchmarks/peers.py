"""The same attention outputs and logits by demograd, Hugging Face, nnsight and TransformerLens: equal, and how fast?

    pip install -e '.[peers]'
    python benchmarks/peers.py [--task trec] [--queries 16] [--k 32] [--rounds 16] [--threads 2]

For every query behind the same k demonstrations, a way records the result of every attention module's output projection
and the attention logits (before the softmax) of the last token against the query's own tokens. Peers are asked for
nothing else: no other hooks, no other token. All queries are compared. Then all ways take turns and are timed; of those
that share nothing among queries, one query a round. A peer that cannot run is named with the reason; the others run.
"""

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # every peer is handed the network, and asks no hub about it

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from demograd import Model, Prompts, load_model, load_task, observe

TOLERANCE = 1e-4
ONE_BY_ONE = ", one by one"


class Recording(NamedTuple):
    """What a way saw at the last token of the queries."""

    outputs: Tensor
    """[queries, layers, hidden]"""
    logits: list[Tensor]
    """Per query [layers, heads, tokens]."""


Way = Callable[[Prompts], Recording]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--task", default="trec")
    arguments.add_argument("--queries", type=int, default=16)
    arguments.add_argument("--k", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=16)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    model, task = load_model("smollm2-135m", device="cpu"), load_task(options.task)
    prompts = task.prompts(model.tokenizer, task.queries(options.queries), task.demonstrations(options.k))
    mean_length = sum(map(len, prompts.queries)) / len(prompts.queries)
    print(
        f"{model.name}, {options.task}, k = {options.k}: {len(prompts.queries)} queries of {mean_length:.0f} tokens "
        f"behind {len(prompts.context)}\ntorch {torch.__version__}, transformers {version('transformers')}, "
        f"{options.threads} threads, float32, median of {options.rounds} rounds\n"
    )
    with torch.inference_mode():
        equal = compared(prepared(model, prompts), prompts, options.rounds)
    sys.exit(0 if equal else 1)


def prepared(model: Model, prompts: Prompts) -> dict[str, Way]:
    """The ways that can run here, the reference first; why a peer cannot is printed."""
    ways = {
        f"transformers {version('transformers')}{ONE_BY_ONE}": by_hugging_face(model),
        f"transformers {version('transformers')}, context cached": by_hugging_face_cached(model),
        f"demograd {version('demograd')}, packed": by_demograd(model),
    }
    for package, maker in (("nnsight", by_nnsight), ("transformer-lens", by_transformer_lens)):
        try:
            way = maker(model)
            way(single(prompts, 0))
            ways[f"{package} {version(package)}{ONE_BY_ONE}"] = way
        except ImportError as error:
            print(f"{package} is missing ({error}): pip install -e '.[peers]'\n")
        except Exception as error:  # whatever a peer's release stumbles over, the others can still be compared
            print(f"{package} {version(package)} does not run here: {type(error).__name__}: {error}\n")
    return ways


def compared(ways: dict[str, Way], prompts: Prompts, rounds: int) -> bool:
    """Print the table; whether all ways see the same."""
    recordings = {name: way(prompts) for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            timed = single(prompts, turn % len(prompts.queries)) if name.endswith(ONE_BY_ONE) else prompts
            start = time.perf_counter()
            way(timed)
            seconds[name].append((time.perf_counter() - start) / len(timed.queries))
    medians = {name: statistics.median(own) for name, own in seconds.items()}
    packed = next(median for name, median in medians.items() if name.startswith("demograd"))
    reference = next(iter(recordings.values()))
    worst = 0.0
    row("", "s a query", "times demograd's", "outputs differ by", "logits differ by")
    for name, recording in recordings.items():
        outputs = max(map(difference, recording.outputs, reference.outputs))
        logits = max(map(difference, recording.logits, reference.logits))
        worst = max(worst, outputs, logits)
        row(name, f"{medians[name]:.3f}", f"{medians[name] / packed:.1f}", f"{outputs:.1e}", f"{logits:.1e}")
    verdict = "equal" if worst <= TOLERANCE else "NOT EQUAL"
    print(f"\nlargest difference over the largest value of its layer: {worst:.1e}, {verdict} to {TOLERANCE}")
    return worst <= TOLERANCE


def single(prompts: Prompts, place: int) -> Prompts:
    """One of the queries, behind the same context."""
    return replace(prompts, queries=[prompts.queries[place]], gold=[prompts.gold[place]])


def difference(mine: Tensor, reference: Tensor) -> float:
    """The largest difference within a layer over that layer's largest value, of [layers, …]; infinite for no number."""
    if mine.shape != reference.shape or not mine.isfinite().all():
        return float("inf")
    size = reference.abs().flatten(1).amax(dim=1).clamp(min=torch.finfo(reference.dtype).tiny)
    return ((mine - reference).abs().flatten(1).amax(dim=1) / size).max().item()


def by_demograd(model: Model) -> Way:
    """All queries packed behind the context, which is encoded once."""

    def run(prompts: Prompts) -> Recording:
        observed = observe(model, prompts)
        return Recording(observed.attention_output, observed.attention_logits)

    return run


def by_hugging_face(model: Model) -> Way:
    """A forward pass of the whole prompt for every query."""
    network, notes = noting_network(model)

    def run(prompts: Prompts) -> Recording:
        for query in prompts.queries:
            network(input_ids=torch.tensor([prompts.context + query]), use_cache=False, logits_to_keep=1)
        return notes.recording(prompts)

    return run


def by_hugging_face_cached(model: Model) -> Way:
    """A forward pass of the context, and one of every query alone behind its cached keys and values."""
    network, notes = noting_network(model)

    def run(prompts: Prompts) -> Recording:
        cache = DynamicCache()
        network(input_ids=torch.tensor([prompts.context]), past_key_values=cache, logits_to_keep=1)
        notes.clear()
        for query in prompts.queries:
            network(input_ids=torch.tensor([query]), past_key_values=cache, logits_to_keep=1)
            cache.crop(-len(query))
        return notes.recording(prompts)

    return run


def by_nnsight(model: Model) -> Way:
    """A trace of the whole prompt for every query; logits are made of the inputs of the attention function."""
    import nnsight

    network, notes = nnsight.NNsight(copy.deepcopy(model.network)), Notes()

    def run(prompts: Prompts) -> Recording:
        for query in prompts.queries:
            ids = torch.tensor([prompts.context + query])
            with network.trace(input_ids=ids, use_cache=False, logits_to_keep=1):
                for layer in network.model.layers:
                    (module, queries, keys, *_), _ = layer.self_attn.source.attention_interface_1.inputs
                    notes.logits.append(last_logits(queries, keys, module.scaling))
                    notes.outputs.append(layer.self_attn.o_proj.output[0, -1])
        return notes.recording(prompts)

    return run


def by_transformer_lens(model: Model) -> Way:
    """A run of the whole prompt for every query, with no weight processed and these two hooks of each layer cached."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(
        model.name, hf_model=copy.deepcopy(model.network), tokenizer=model.tokenizer, device="cpu"
    )
    layers = range(len(model.anatomy.blocks))
    scores = [f"blocks.{layer}.attn.hook_attn_scores" for layer in layers]
    outputs = [f"blocks.{layer}.hook_attn_out" for layer in layers]

    def run(prompts: Prompts) -> Recording:
        notes = Notes()
        for query in prompts.queries:
            ids = torch.tensor([prompts.context + query])
            _, cache = bridge.run_with_cache(
                ids, names_filter=scores + outputs, pos_slice=-1, return_type="logits", logits_to_keep=1
            )
            notes.logits += [cache[name][0, :, -1] for name in scores]
            notes.outputs += [cache[name][0, -1] for name in outputs]
        return notes.recording(prompts)

    return run


class Notes:
    """What passes saw at their last token, layer after layer, pass after pass."""

    def __init__(self) -> None:
        self.outputs: list[Tensor] = []
        """[hidden]"""
        self.logits: list[Tensor] = []
        """[heads, tokens]"""

    def clear(self) -> None:
        """Forget what was noted."""
        self.outputs.clear()
        self.logits.clear()

    def recording(self, prompts: Prompts) -> Recording:
        """Everything noted since the last call, by query."""
        queries = len(prompts.queries)
        layers = len(self.outputs) // queries
        logits = [
            torch.stack(self.logits[layers * place : layers * (place + 1)])[..., -len(query) :]
            for place, query in enumerate(prompts.queries)
        ]
        outputs = torch.stack(self.outputs).unflatten(0, (queries, layers))
        self.clear()
        return Recording(outputs, logits)


def noting_network(model: Model) -> tuple[Any, Notes]:
    """A copy of the network with SDPA, a hook on every output projection, and an attention function that notes."""
    network, notes = copy.deepcopy(model.network), Notes()

    def attend(module: Any, queries: Tensor, keys: Tensor, *rest: Any, **settings: Any) -> tuple[Tensor, None]:
        notes.logits.append(last_logits(queries, keys, module.scaling))
        return sdpa_attention_forward(module, queries, keys, *rest, **settings)

    name = f"noting {id(notes)}"
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    network.set_attn_implementation(name)
    for layer in network.model.layers:
        layer.self_attn.o_proj.register_forward_hook(lambda module, args, output: notes.outputs.append(output[0, -1]))
    return network, notes


def last_logits(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    """What enters the softmax of the last token [heads, tokens], of [1, heads, tokens, head_dim] after rotation."""
    keys = keys.repeat_interleave(queries.shape[1] // keys.shape[1], dim=1)
    return (queries[0, :, -1:] @ keys[0].mT)[:, 0] * scaling


def row(*cells: str) -> None:
    print(cells[0].ljust(40) + "".join(cell.rjust(18) for cell in cells[1:]))


if __name__ == "__main__":
    main()
