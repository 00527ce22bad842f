"""Which way of observing fits a network: found by trying it on the network itself."""

from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe.packed import packed_batches
from demograd.observe.recorder import Recorder
from demograd.observe.scoring import next_token_log_probs
from demograd.observe.unpacked import unpacked_batches
from demograd.tasks.prompts import Prompts

Fit = Literal["packed", "unpacked"]

# Packing only reorders sums. A wrong mask or position moves a trained network's logits by tenths and more.
TOLERANCE = {"float32": 1e-3, "bfloat16": 1e-1, "float16": 2e-2}

_known: "WeakKeyDictionary[nn.Module, Fit]" = WeakKeyDictionary()


def way_to_observe(model: Model) -> Fit:
    """`packed` if packing gives this network's own logits, else `unpacked` if that does.

    Tried once per network, on random tokens.

    Raises:
        UserError: it computes values that are not finite; or neither way gives its logits, so nothing that would be
            recorded could be trusted.
    """
    if model.network not in _known:
        _known[model.network] = _try(model)
    return _known[model.network]


def _try(model: Model) -> Fit:
    prompts = random_prompts(model)
    reference = reference_log_probs(model, prompts)
    if reference.isnan().any():
        raise UserError(f"{model.name} computes values that are not finite, in {model.dtype}", "numbers",
                        "Its weights may be damaged, or need another dtype, such as float32")  # fmt: skip
    differences = {}
    ways: tuple[Fit, Fit] = ("packed", "unpacked")
    for way in ways:
        try:
            observed = observed_log_probs(model, prompts, way)
        except TypeError as error:  # the network does not take position_ids
            differences[way] = str(error)
            continue
        difference = relative_difference(observed, reference)
        if difference <= TOLERANCE[model.dtype]:
            return way
        differences[way] = f"{difference:.1e}"
    tried = ", ".join(f"{way}: {difference}" for way, difference in differences.items())
    raise UserError(f"{model.name} ({type(model.network).__name__}) does not compute what demograd observes "
                    f"(relative difference of the log-probabilities, {tried})",
                    f"a difference of at most {TOLERANCE[model.dtype]:g}",
                    "This architecture is not supported yet: see demograd list models")  # fmt: skip


def relative_difference(observed: Tensor, reference: Tensor) -> float:
    """Largest absolute difference over the largest absolute value; not a number compares as infinite."""
    observed, reference = observed.cpu(), reference.cpu()  # a network over several devices may give one on each
    difference = ((observed - reference).abs().max() / reference.abs().max()).item()
    return difference if difference == difference else float("inf")


def random_prompts(model: Model, context: int = 12, lengths: tuple[int, ...] = (3, 5, 4, 7)) -> Prompts:
    """Queries of random tokens behind a context of random tokens, seeded."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.network.config.vocab_size

    def tokens(count: int) -> list[int]:
        return torch.randint(vocabulary, (count,), generator=generator).tolist()

    return Prompts(tokens(context), [tokens(length) for length in lengths], [[0], [1]], [0] * len(lengths))


@torch.no_grad()
def reference_log_probs(model: Model, prompts: Prompts) -> Tensor:
    """The network's own next-token log-probabilities, each prompt encoded whole `[queries, vocabulary]`."""
    rows = []
    for query in prompts.queries:
        ids = torch.tensor([prompts.context + query], device=model.anatomy.device)
        own = model.network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        rows.append(own.logits[0, prompts.answer_offset])
    return torch.stack(rows).float().log_softmax(dim=-1)


@torch.no_grad()
def observed_log_probs(model: Model, prompts: Prompts, way: Fit) -> Tensor:
    """The same as observed, in the order of the queries."""
    batches = packed_batches(model, prompts, most_tokens=16) if way == "packed" else unpacked_batches(model, prompts)
    rows: dict[int, Tensor] = {}
    for batch in batches:
        hidden = batch.forward(Recorder(frozenset(), batch.last, [one.length for one in batch.segments], prompts))
        log_probs = next_token_log_probs(model.anatomy, hidden.index_select(0, batch.last.to(hidden.device)))
        rows.update(zip((one.query for one in batch.segments), log_probs, strict=True))
    return torch.stack([rows[query] for query in range(len(prompts.queries))])
