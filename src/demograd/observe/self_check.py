"""Which way of observing fits a network, and whether it has forward-mode derivatives: tried on the network itself."""

from dataclasses import replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from demograd.errors import UserError
from demograd.models import Anatomy, Model
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import attention_routed
from demograd.observe.first_order import experts_apart
from demograd.observe.memory_limit import is_out_of_memory
from demograd.observe.packed import packed_batches
from demograd.observe.recorder import Recorder, stacked
from demograd.observe.scoring import vocabulary_log_probs
from demograd.observe.unpacked import unpacked_batches
from demograd.tasks.prompts import Prompts

Fit = Literal["packed", "unpacked"]

# Packing only reorders sums. A wrong mask or position moves a trained network's logits by tenths and more.
TOLERANCE = {"float32": 1e-3, "bfloat16": 1e-1, "float16": 2e-2}

# The largest difference of a layer's attention output, over the largest value of that output. Rounding in 16 bit grows
# from layer to layer; a token that sees others than it should moves it by its own size.
OUTPUT_TOLERANCE = {"float32": 1e-2, "bfloat16": 0.4, "float16": 0.1}

# A token that rounding sends to another expert makes another prompt of it: one such query does not decide.
QUERIES_TRIED = 3

_ways: "WeakKeyDictionary[nn.Module, Fit]" = WeakKeyDictionary()
_at_length: "WeakKeyDictionary[nn.Module, tuple[tuple[int, int], Fit]]" = WeakKeyDictionary()
"""The most tokens, by which masks are made, and the last position that were tried; and what fitted."""


def way_to_observe(model: Model) -> Fit:
    """`packed` if packing gives this network's own logits, else `unpacked` if that does.

    Tried once per network, on a few random tokens: `way_at_length` tries what is observed.

    Raises:
        UserError: it computes values that are not finite; or neither way gives its logits, so nothing that would be
            recorded could be trusted.
    """
    if model.network not in _ways:
        _ways[model.network] = _try(replace(model, intervention=None))
    return _ways[model.network]


def way_at_length(model: Model, prompts: Prompts) -> Fit:
    """The same for these prompts, whose longest queries are compared with the network's own forward pass.

    Only at a length that this network was not tried at yet: a window, chunks or positions that change behind some
    token make no difference to shorter prompts.

    Raises:
        UserError: as `way_to_observe`.
    """
    way = way_to_observe(model)
    model = replace(model, intervention=None)  # which the network's own pass does not have
    longest = sorted(prompts.queries, key=len, reverse=True)[:QUERIES_TRIED]
    checked, tried_way = _at_length.get(model.network, ((0, 0), way))
    # a network with a position bias alone cannot be told that a query stands elsewhere
    takes_position = _takes_positions(model) and tried_way == "packed"
    position = prompts.query_position if takes_position else None
    tokens = len(prompts.context) + len(longest[0])
    last = tokens if position is None else position + len(longest[0])
    if tokens <= checked[0] and last <= checked[1]:
        return tried_way
    length = max(tokens, last)
    single = [Prompts(prompts.context, [query], [[0]], [0], query_position=position) for query in longest]
    own = [own_pass(model, prompt) for prompt in single[:1]]
    if not all(tensor.isfinite().all() for tensor in own[0]):
        return tried_way  # fine-tuning that diverged is found where it is measured
    differences: dict[Fit, float] = {}
    ways: list[Fit] = ["packed", "unpacked"] if tried_way == "packed" else ["unpacked"]
    for this in ways:
        worst = []
        for number, prompt in enumerate(single):
            if number == len(own):
                own.append(own_pass(model, prompt))
            worst.append(_of_tolerance(model, observed_pass(model, prompt, this), own[number]))
            if worst[0] <= 1:
                break
        differences[this] = sorted(worst)[len(worst) // 2]
        if differences[this] <= 1:
            _at_length[model.network] = (max(tokens, checked[0]), max(last, checked[1])), this
            return this
        single = [replace(prompt, query_position=None) for prompt in single]
        if position is not None:
            break  # the other way cannot be told positions
    excess = ", ".join(f"{this}: {difference:.1g} times" for this, difference in differences.items())
    raise UserError(
        f"With {length} tokens, {model.name} ({type(model.network).__name__}) does not compute what "
        f"demograd observes (it differs by more than rounding explains, {excess})",
        "attention outputs and log-probabilities of the model's own forward pass",
        "Use fewer demonstrations or shorter texts, or another model",
    )


def _takes_positions(model: Model) -> bool:
    """Whether the network heeds positions that it is told; with ALiBi it does not, though it may take them (Falcon)."""
    anatomy = model.anatomy
    return anatomy.architecture.takes_positions and anatomy.position_bias(torch.arange(1)) is None


Pass = tuple[Tensor, Tensor]
"""At the last token, float32 on the CPU: attention outputs [layers, hidden], and next-token log-probabilities."""


def _of_tolerance(model: Model, observed: Pass, own: Pass) -> float:
    """The largest difference, in tolerances."""
    outputs = max(map(relative_difference, observed[0], own[0])) / OUTPUT_TOLERANCE[model.dtype]
    return max(outputs, relative_difference(observed[1], own[1]) / TOLERANCE[model.dtype])


@torch.no_grad()
def own_pass(model: Model, prompts: Prompts) -> Pass:
    """What to compare with, from the network's own forward pass over context and (only) query."""
    anatomy = model.anatomy
    (query,) = prompts.queries
    ids = torch.tensor([prompts.context + query], device=anatomy.device)
    recorder = Recorder(frozenset(), torch.tensor([ids.shape[1] - 1]), [len(query)], prompts)
    positions: dict[str, Any] = {}
    if prompts.query_position is not None:
        behind = prompts.query_position + torch.arange(len(query))
        positions = anatomy.positions(torch.cat([torch.arange(len(prompts.context)), behind]))
    with recorder.watching(anatomy, "projection"):
        hidden = anatomy.decoder(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **positions)
    # the network's own way from the last hidden state to logits is compared in the first, short try
    log_probs = vocabulary_log_probs(anatomy, hidden.last_hidden_state[0, -1:])
    return stacked(recorder.recorded["attention_output"])[0], log_probs[0].cpu()


@torch.no_grad()
def observed_pass(model: Model, prompts: Prompts, way: Fit) -> Pass:
    """The same quantities as `observe` records them."""
    (batch,) = packed_batches(model, prompts, most_tokens=1) if way == "packed" else unpacked_batches(model, prompts)
    recorder = Recorder(frozenset(), batch.last, [len(prompts.queries[0])], prompts)
    with recorder.watching(model.anatomy, "projection"):
        hidden = batch.forward(recorder)
    log_probs = vocabulary_log_probs(model.anatomy, hidden[batch.last.to(hidden.device)])
    return stacked(recorder.recorded["attention_output"])[0], log_probs[0].cpu()


def _try(model: Model) -> Fit:
    prompts = random_prompts(model)
    reference = reference_log_probs(model, prompts)
    if reference.isnan().any():
        raise UserError(
            f"{model.name} computes values that are not finite, in {model.dtype}",
            "numbers",
            "Its weights may be damaged, or need another dtype, such as float32",
        )
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
    summary = ", ".join(f"{way}: {difference}" for way, difference in differences.items())
    raise UserError(
        f"{model.name} ({type(model.network).__name__}) does not compute what demograd observes "
        f"(relative difference of the log-probabilities, {summary})",
        f"a difference of at most {TOLERANCE[model.dtype]:g}",
        "This architecture is not supported yet: see demograd list models",
    )


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
    """The same log-probabilities as `observe` records them, in the order of the queries."""
    batches = packed_batches(model, prompts, most_tokens=16) if way == "packed" else unpacked_batches(model, prompts)
    rows: dict[int, Tensor] = {}
    for batch in batches:
        hidden = batch.forward(
            Recorder(frozenset(), batch.last, [segment.length for segment in batch.segments], prompts)
        )
        log_probs = vocabulary_log_probs(model.anatomy, hidden.index_select(0, batch.last.to(hidden.device)))
        rows.update(zip((segment.query for segment in batch.segments), log_probs, strict=True))
    return torch.stack([rows[query] for query in range(len(prompts.queries))])


_forward_mode: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


@torch.no_grad()
def has_forward_mode(anatomy: Anatomy) -> bool:
    """Whether all that this network computes has a forward-mode derivative; tried once per network, on two tokens."""
    if anatomy.network not in _forward_mode:
        _forward_mode[anatomy.network] = anatomy.architecture.forward_mode and _try_forward_mode(anatomy)
    return _forward_mode[anatomy.network]


def _try_forward_mode(anatomy: Anatomy) -> bool:
    ids = torch.zeros(1, 2, dtype=torch.long, device=anatomy.device)
    embeddings = anatomy.network.get_input_embeddings()(ids)
    try:
        with experts_apart(anatomy.network), attention_routed(anatomy, causal_attention), forward_ad.dual_level():
            dual = forward_ad.make_dual(embeddings, torch.ones_like(embeddings))
            anatomy.decoder(inputs_embeds=dual, use_cache=False)
    except (NotImplementedError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        return False
    return True
