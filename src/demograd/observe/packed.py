"""Many queries in one row behind one cached context: who sees whom, and attention that splits accordingly.

A pack holds *segments*. A segment is a query, followed by branches: the answers of more than one token, each without
its last token, that continue the query at the place where the answer is predicted. Every token sees the context, and
of its own segment what leads up to it. Nothing is padded except inside the small attention within segments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from demograd.models import Model
from demograd.observe.attention import (
    attention_logits,
    causal_attention,
    joined,
    partial_attention,
    position_bias,
    sees_all,
)
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.observe.intervening import behind_prefix, prefix_length
from demograd.observe.recorder import Recorder
from demograd.tasks.prompts import Prompts


@dataclass(frozen=True)
class Segment:
    """One query and its branches."""

    query: int
    """Its number in the prompts."""
    tokens: list[int]
    depths: list[int]
    """How many tokens of this segment lead up to each token."""
    starts: list[int]
    """Where the query (0) and each branch begin."""
    length: int
    """Tokens of the query alone."""

    @property
    def branches(self) -> list[tuple[int, int]]:
        """Where each branch begins and ends."""
        return list(pairwise([*self.starts[1:], len(self.tokens)]))


def segment(prompts: Prompts, query: int) -> Segment:
    """The query, with a branch for each candidate longer than one token."""
    tokens = list(prompts.queries[query])
    length = len(tokens)
    depths, starts = list(range(length)), [0]
    for candidate in prompts.candidates:
        if len(candidate) > 1:
            starts.append(len(tokens))
            first = length + prompts.answer_offset + 1
            depths += range(first, first + len(candidate) - 1)
            tokens += candidate[:-1]
    return Segment(query, tokens, depths, starts, length)


def packs(prompts: Prompts, most_tokens: int) -> list[list[Segment]]:
    """All segments in packs of at most `most_tokens` tokens (or one segment), like lengths together."""
    segments = sorted((segment(prompts, query) for query in range(len(prompts.queries))), key=lambda s: len(s.tokens))
    result: list[list[Segment]] = []
    room = 0
    for next_segment in segments:
        if len(next_segment.tokens) > room:
            result.append([])
            room = most_tokens
        result[-1].append(next_segment)
        room -= len(next_segment.tokens)
    return result


@dataclass(eq=False)
class Pack:
    """Segments laid end to end, and their attention behind a context."""

    segments: list[Segment]
    context: list[tuple[Tensor, Tensor]]
    """Keys and values of the context, per layer: [1, key_value_heads, context, head_dim]."""
    branch_after: int
    """`answer_offset`: a branch sees its query up to and including this position."""
    first_position: int
    """Position of each segment's first token."""

    def __post_init__(self) -> None:
        lengths = [len(segment.tokens) for segment in self.segments]
        self.tokens = torch.tensor([[token for segment in self.segments for token in segment.tokens]])
        self.depths = torch.tensor([depth for segment in self.segments for depth in segment.depths])
        self.positions = self.first_position + self.depths
        self.starts = torch.tensor([0, *lengths]).cumsum(0)[:-1]
        self.last = self.starts + torch.tensor([segment.length for segment in self.segments]) - 1
        longest = max(lengths)
        inside = torch.arange(longest)
        exists = inside < torch.tensor(lengths)[:, None]
        # [segments, longest]: which token of the row; a place that does not exist repeats the segment's first token
        self.padded = self.starts[:, None] + inside * exists
        self.unpadded = exists.flatten().nonzero().squeeze(1)
        self.branched = any(segment.branches for segment in self.segments)
        self._visible: dict[tuple[int | None, int | None], Tensor | None] = {}

    def visible_inside(self, call: AttentionCall) -> Tensor | None:
        """Who sees whom inside segments `[segments, 1, longest, longest]`; None where that is plainly causal."""
        if (call.window, call.chunk) not in self._visible:
            self._visible[call.window, call.chunk] = self._who_sees_whom(call)
        return self._visible[call.window, call.chunk]

    def _who_sees_whom(self, call: AttentionCall) -> Tensor | None:
        longest, context = self.padded.shape[1], self.context[call.layer][0].shape[-2]
        ends = context + torch.arange(longest)
        if not self.branched and bool((call.first_seen(ends) <= context).all()):
            return None
        masks = []
        for segment in self.segments:
            mask = torch.eye(longest, dtype=torch.bool)
            mask[: segment.length, : segment.length] = True
            for start, end in segment.branches:
                mask[start:end, start:end] = True
                mask[start:end, : segment.length + self.branch_after + 1] = True
            depths = torch.tensor(segment.depths + [0] * (longest - len(segment.depths)))
            mask &= depths <= depths[:, None]
            masks.append(mask & (context + depths >= call.first_seen(context + depths[:, None])))
        return torch.stack(masks)[:, None]

    def attend(self, call: AttentionCall) -> Tensor:
        """What attention over context and own segment gives every token `[1, tokens, heads, value_dim]`."""
        return joined(self._to_context(call), self._inside(call), call.sinks)[None].transpose(1, 2)

    def _to_context(self, call: AttentionCall) -> tuple[Tensor, Tensor]:
        """Output `[heads, tokens, value_dim]` and normaliser `[heads, tokens]` over the context."""
        key, value = self.context[call.layer]
        _, heads, tokens, dim = call.query.shape
        context, groups = key.shape[-2], key.shape[1]
        visible = None
        if not sees_all(call, context + int(self.depths.max())):
            first_seen = call.first_seen(context + self.depths)
            first = min(int(first_seen.min()), context - 1)  # what no token sees is left out
            key, value = key[:, :, first:], value[:, :, first:]
            visible = torch.arange(first, context) >= first_seen[:, None]
            visible = visible.repeat(heads // groups, 1)[None, None].to(key.device)
        bias = position_bias(call, torch.arange(context - key.shape[-2], context))
        if bias is not None:
            bias = bias.view(groups, -1, 1, key.shape[-2]).expand(-1, -1, tokens, -1).flatten(1, 2)[None]
        # all heads that share a key head stand as more queries of it: no key is repeated, and nothing is copied
        folded = call.query.reshape(1, groups, heads // groups * tokens, dim)
        output, normaliser = partial_attention(folded, key, value, call, visible, bias=bias)
        return output.reshape(heads, tokens, -1), normaliser.reshape(heads, tokens)

    def _inside(self, call: AttentionCall) -> tuple[Tensor, Tensor]:
        """The same over the own segment."""
        query, key, value = (self._pad(tensor, call.query.shape[1]) for tensor in (call.query, call.key, call.value))
        visible = self.visible_inside(call)
        if visible is not None:
            visible = visible.to(query.device)
        bias = position_bias(call, self.positions)
        if bias is not None:
            bias = self._pad(bias[None, :, :, None], call.query.shape[1]).transpose(2, 3)
        output, normaliser = partial_attention(query, key, value, call, visible, visible is None, bias)
        unpadded = self.unpadded.to(query.device)
        return (
            output.transpose(0, 1).flatten(1, 2).index_select(1, unpadded),
            normaliser.transpose(0, 1).flatten(1, 2).index_select(1, unpadded),
        )

    def _pad(self, tensor: Tensor, heads: int) -> Tensor:
        """`[1, heads or key_value_heads, tokens, dim]` to `[segments, heads, longest, dim]`."""
        padded = tensor[0].index_select(1, self.padded.flatten().to(tensor.device))
        padded = padded.unflatten(1, self.padded.shape).transpose(0, 1)
        return padded.repeat_interleave(heads // padded.shape[1], dim=1)

    def last_logits(self, call: AttentionCall) -> Tensor:
        """The last query token's logits against its own segment, float32 `[segments, heads, longest]`."""
        query = call.query[0].index_select(1, self.last.to(call.query.device)).transpose(0, 1)[:, :, None]
        key = self._pad(call.key, call.query.shape[1])
        return attention_logits(query.float(), key.float(), call.scaling, call.softcap).squeeze(2)


KeysAndValues = list[tuple[Tensor, Tensor]]


def encoded_context(model: Model, tokens: list[int]) -> KeysAndValues:
    """Keys (after rotary positions) and values of the context, per layer: [1, key_value_heads, context, head_dim], with
    the prefix of the model's intervention, where it has one, before them."""
    layers: dict[int, tuple[Tensor, Tensor]] = {}

    def attend(call: AttentionCall) -> Tensor:
        whole = behind_prefix(model, call)
        layers[call.layer] = whole.key, whole.value
        return causal_attention(whole)

    ids = torch.tensor([tokens], device=model.anatomy.device)
    positions = model.anatomy.positions(torch.arange(len(tokens)))
    with attention_routed(model.anatomy, attend):
        model.anatomy.decoder(input_ids=ids, **positions, use_cache=False)
    return [layers[layer] for layer in sorted(layers)]


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """A pack, ready to run."""

    model: Model
    pack: Pack

    @property
    def segments(self) -> list[Segment]:
        """One per query, in the order of the rows that are recorded."""
        return self.pack.segments

    @property
    def last(self) -> Tensor:
        """Row of each query's last token."""
        return self.pack.last

    @property
    def answered(self) -> Tensor:
        """Row of each query's token behind which the answer is predicted."""
        return self.last + 1 + self.pack.branch_after

    def halves(self) -> "tuple[PackedBatch, PackedBatch]":
        """Two packs behind the same context."""
        middle = len(self.segments) // 2
        first, second = (replace(self.pack, segments=part) for part in (self.segments[:middle], self.segments[middle:]))
        return PackedBatch(self.model, first), PackedBatch(self.model, second)

    def forward(self, recorder: Recorder) -> Tensor:
        """Hidden states after the final norm `[tokens, hidden]`; the recorder keeps the rest."""
        prefix = prefix_length(self.model)

        def attend(call: AttentionCall) -> Tensor:
            output = self.pack.attend(call)
            key, value = (tensor[:, :, prefix:] for tensor in self.pack.context[call.layer])
            recorder.record(call, self.pack.last_logits(call), (key, value), output)
            return output

        device = self.model.anatomy.device
        positions = self.model.anatomy.positions(self.pack.positions)
        with attention_routed(self.model.anatomy, attend):
            output = self.model.anatomy.decoder(input_ids=self.pack.tokens.to(device), **positions, use_cache=False)
        return output.last_hidden_state[0]


def packed_batches(model: Model, prompts: Prompts, most_tokens: int) -> Iterator[PackedBatch]:
    """The context is encoded at the first batch and shared by all."""
    context = encoded_context(model, prompts.context)
    for segments in packs(prompts, most_tokens):
        yield PackedBatch(model, Pack(segments, context, prompts.answer_offset, prompts.first_query_position))
