"""Forward passes over packs of queries behind one cached context."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from demograd.models import Model
from demograd.observe.attention import causal_attention
from demograd.observe.packing import Pack, Segment, packs
from demograd.observe.recorder import Recorder
from demograd.observe.routing import AttentionCall, attention_routed
from demograd.tasks.prompts import Prompts

KeysAndValues = list[tuple[Tensor, Tensor]]


def encoded_context(model: Model, tokens: list[int]) -> KeysAndValues:
    """Keys (after rotary positions) and values of the context, per layer: [1, key_value_heads, context, head_dim]."""
    layers: dict[int, tuple[Tensor, Tensor]] = {}

    def attend(call: AttentionCall) -> Tensor:
        layers[call.layer] = call.key, call.value
        return causal_attention(call)

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

    def halves(self) -> "tuple[PackedBatch, PackedBatch]":
        """Two packs behind the same context."""
        middle = len(self.segments) // 2
        first, second = (replace(self.pack, segments=part) for part in (self.segments[:middle], self.segments[middle:]))
        return PackedBatch(self.model, first), PackedBatch(self.model, second)

    def forward(self, recorder: Recorder) -> Tensor:
        """Hidden states after the final norm `[tokens, hidden]`; the recorder keeps the rest."""

        def attend(call: AttentionCall) -> Tensor:
            output = self.pack.attend(call)
            recorder.record(call, self.pack.last_logits(call), self.pack.context[call.layer], output)
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
