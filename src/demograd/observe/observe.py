"""Observe a model on queries behind one shared context (one context, many queries)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from demograd.errors import UserError, unknown_name
from demograd.models import Model
from demograd.observe.extras import OF_DEMONSTRATIONS, SHARED, Extra
from demograd.observe.first_order import evaluated, first_order
from demograd.observe.intervening import patched
from demograd.observe.memory_limit import Room
from demograd.observe.observation import Observation
from demograd.observe.packed import PackedBatch, Segment, packed_batches
from demograd.observe.recorder import Place, Recorder, stacked
from demograd.observe.rotary import check_rotary
from demograd.observe.scoring import label_scores
from demograd.observe.self_check import Fit, way_at_length
from demograd.observe.unpacked import UnpackedBatch, unpacked_batches
from demograd.tasks.prompts import Prompts

# Larger packs spend more on attention, smaller ones more on moving weights; 512 was best on two CPU cores.
PACK_TOKENS = 512


@dataclass(frozen=True, eq=False)
class _Part:
    """What was recorded for one batch of queries."""

    recorder: Recorder
    segments: list[Segment]
    attended: list[Segment]
    """Those of which `attention_weights` were recorded."""
    label_log_probs: Tensor
    next_token_log_probs: Tensor | None


@torch.no_grad()
def observe(
    model: Model,
    prompts: Prompts,
    *,
    extras: Iterable[Extra] = (),
    place: Place = "projection",
    pack_tokens: int = PACK_TOKENS,
    attention_queries: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Observation:
    """Run the model on every query behind the context, and record attention outputs and logits and log-probabilities
    at each query's last token.

    The context is encoded once. Queries are packed end to end behind it; a model that packing does not fit is
    observed query by query behind the same cached context, and the observation's notes say so.

    Where memory runs out, passes are halved until they fit; the observation's notes say so.

    Where the model carries a change (`Model.change`: linearised FT), everything recorded is what it is without the
    change plus the first-order effect of the change. First-order log-probabilities do not add up to one.

    Where it carries an intervention (`Model.intervention`), everything recorded is what it is with that. Keys of a
    prefix take their part of the attention; what is recorded of it is the attention among all other keys.

    Args:
        model: or what `fine_tuned` yields.
        prompts: token ids.
        extras: what to record besides: fields of `Observation` that are None without.
        place: where the attention output is read: after its `projection`, or `after_norm` (Gemma's
            post-attention norm).
        pack_tokens: the most tokens in one forward pass.
        attention_queries: of so many of the first queries `attention_weights` are recorded, where they are not asked
            for of all, as an extra.
        on_progress: called with the number of queries done so far.

    Raises:
        UserError: the context and a query do not fit the model's context window, the model cannot be observed, or
            an extra cannot be had here.
    """
    requested = frozenset(extras)
    for extra in requested - set(get_args(Extra)):
        raise unknown_name("extra", extra, get_args(Extra), "Record one of these")
    _check_demonstrations(prompts, requested)
    check_place(model, place)
    _check_length(model, prompts)
    way = way_at_length(model, prompts)
    if "query_vectors" in requested:
        check_rotary(model.anatomy)
    with first_order(model.network, model.change):
        return evaluated(_observed(model, prompts, way, requested, place, pack_tokens, attention_queries, on_progress))


def _observed(
    model: Model,
    prompts: Prompts,
    way: Fit,
    requested: frozenset[Extra],
    place: Place,
    pack_tokens: int,
    attention_queries: int,
    on_progress: Callable[[int], None] | None,
) -> Observation:
    """Run every batch, and join what was recorded."""
    n_attended = len(prompts.queries) if "attention_weights" in requested else attention_queries
    batches = packed_batches(model, prompts, pack_tokens) if way == "packed" else unpacked_batches(model, prompts)

    def forward(batch: PackedBatch | UnpackedBatch) -> _Part:
        segments = batch.segments
        attended = [row for row, segment in enumerate(segments) if segment.query < n_attended]
        recorder = Recorder(requested, batch.last, [segment.length for segment in segments], prompts, attended)
        with patched(model, batch.answered), recorder.watching(model.anatomy, place):
            normed = batch.forward(recorder)
        scores, at_answer = label_scores(model, prompts, segments, normed)
        next_token = at_answer.cpu() if "next_token_log_probs" in requested else None
        return _Part(recorder, segments, [segments[row] for row in attended], scores.cpu(), next_token)

    parts: list[_Part] = []
    room, done = Room(), 0
    for batch in batches:
        parts += room.run(batch, forward)
        done += len(batch.segments)
        if on_progress is not None:
            on_progress(done)
    notes = () if way == "packed" else ("observed one query at a time: packing does not fit this model",)
    return _assembled(model, prompts, parts, notes + room.notes)


def check_place(model: Model, place: Place) -> None:
    """
    Raises:
        UserError: the model has no such place.
    """
    if place == "after_norm" and not model.anatomy.post_attention_norms:
        expected = "a model with a norm between attention and residual stream"
        raise UserError(f"place after_norm for {model.name}", expected, "Read the output after its projection")


def _check_demonstrations(prompts: Prompts, requested: frozenset[Extra]) -> None:
    if not prompts.demonstration_spans and (needing := requested & OF_DEMONSTRATIONS):
        problem = f"{' and '.join(sorted(needing))} of prompts without demonstrations"
        raise UserError(
            problem, "prompts of the ICL setting", "Leave that out here, or give the prompts demonstrations"
        )


def _check_length(model: Model, prompts: Prompts) -> None:
    longest_answer = max(len(candidate) for candidate in prompts.candidates) - 1
    longest = max(len(query) for query in prompts.queries) + longest_answer
    needed = max(len(prompts.context), prompts.first_query_position) + longest
    _check_rotary_scaling(model, prompts)
    window = model.context_window
    if window is not None and needed > window:
        raise UserError(
            f"Context and longest query take {needed} tokens",
            f"at most {window} for {model.name}",
            "Use fewer demonstrations or shorter texts",
        )


def _check_rotary_scaling(model: Model, prompts: Prompts) -> None:
    """longrope (Phi-3) takes other rotary factors for a whole pass that reaches past the original window: a context
    encoded on one side of that limit cannot serve queries on the other."""
    parameters = getattr(model.network.config, "rope_parameters", None) or {}
    of_layers = [
        layer for layer in (parameters, *parameters.values()) if isinstance(layer, dict)
    ]  # or of each kind of layer
    rope = next((layer for layer in of_layers if layer.get("rope_type") == "longrope"), None)
    if rope is None:
        return
    limit = rope.get("original_max_position_embeddings") or model.network.config.original_max_position_embeddings
    first = prompts.first_query_position
    ends = [len(prompts.context), *(first + len(query) for query in prompts.queries)]
    if min(ends) <= limit < max(ends) + max(len(candidate) for candidate in prompts.candidates) - 1:
        problem = f"Context and queries end on both sides of token {limit}, where {model.name} changes its positions"
        raise UserError(problem, "all of them on one side", "Use fewer demonstrations, or more")


def _assembled(model: Model, prompts: Prompts, parts: list[_Part], notes: tuple[str, ...]) -> Observation:
    """One observation, its queries in the order of the prompts."""
    order = torch.tensor([segment.query for part in parts for segment in part.segments]).argsort()

    def in_order(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors)[order]

    logits: dict[int, Tensor] = {}
    for part in parts:
        for segment, rows in zip(part.segments, stacked(part.recorder.recorded["attention_logits"]), strict=True):
            logits[segment.query] = rows[..., : segment.length].clone()
    names = parts[0].recorder.recorded.keys() - {"attention_logits", "attention_weights"}
    recorded = {name: [stacked(part.recorder.recorded[name]) for part in parts] for name in names}
    tensors: dict[str, Any] = {name: recorded.pop(name)[0][0] for name in SHARED if name in recorded}
    tensors |= {name: in_order(of_parts) for name, of_parts in recorded.items()}
    next_token = [part.next_token_log_probs for part in parts if part.next_token_log_probs is not None]
    return Observation(
        attention_logits=[logits[query] for query in range(len(prompts.queries))],
        label_log_probs=in_order([part.label_log_probs for part in parts]),
        gold=torch.tensor(prompts.gold),
        attention_weights=_attention_weights(prompts, parts),
        next_token_log_probs=in_order(next_token) if next_token else None,
        dtype=model.dtype,
        notes=notes,
        tie_order=torch.tensor(sorted(range(len(prompts.candidates)), key=lambda label: prompts.candidates[label])),
        **tensors,
    )


def _attention_weights(prompts: Prompts, parts: list[_Part]) -> Tensor | None:
    """[first queries, layers, heads, context and longest query]; None where none were recorded."""
    width = len(prompts.context) + max(map(len, prompts.queries))
    weights: dict[int, Tensor] = {}
    for part in parts:
        if part.attended:
            rows = stacked(part.recorder.recorded["attention_weights"])
            # a batch is as wide as its longest query, with its branches: what is wider than all queries is cropped
            rows = torch.nn.functional.pad(rows, (0, width - rows.shape[-1]))
            weights |= zip((segment.query for segment in part.attended), rows, strict=True)
    return torch.stack([weights[query] for query in sorted(weights)]) if weights else None
