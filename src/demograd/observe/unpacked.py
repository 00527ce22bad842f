"""One query at a time behind the same cached context, for a network that packing does not fit.

Such a network counts positions by index, or mixes neighbouring tokens outside attention. It keeps its own cache here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe.attention import attention_logits, causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.observe.first_order import copy_with_derivatives
from demograd.observe.intervening import behind_prefix
from demograd.observe.packed import Segment, segment
from demograd.observe.recorder import Recorder
from demograd.tasks.prompts import Prompts


@dataclass(frozen=True, eq=False)
class UnpackedBatch:
    """One query and its branches, each run on a copy of the context's cache."""

    model: Model
    segments: list[Segment]
    cache: Any
    branch_after: int

    @property
    def last(self) -> Tensor:
        """Row of the query's last token."""
        return torch.tensor([self.segments[0].length - 1])

    @property
    def answered(self) -> Tensor:
        """Row of the token behind which the answer is predicted, in the query and in each branch run by itself."""
        return self.last + 1 + self.branch_after

    def halves(self) -> "tuple[UnpackedBatch, UnpackedBatch]":
        """There are none."""
        raise ValueError("one query is no two batches")

    def forward(self, recorder: Recorder) -> Tensor:
        """Hidden states after the final norm `[tokens, hidden]`, laid out as in a pack; the recorder keeps the rest."""
        (query,) = self.segments

        def attend(call: AttentionCall) -> Tensor:
            own = call.query.shape[-2]
            key = call.key[0].repeat_interleave(call.query.shape[1] // call.key.shape[1], dim=0)
            last = attention_logits(call.query[0, :, -1:].float(), key[:, -own:].float(), call.scaling, call.softcap)
            output = causal_attention(behind_prefix(self.model, call))
            context = call.key[:, :, :-own], call.value[:, :, :-own]
            of_query = replace(call, key=call.key[:, :, -own:], value=call.value[:, :, -own:])
            recorder.record(of_query, last.squeeze(1)[None], context, output)
            return output

        parts = [self._continued(query.tokens[: query.length], attend)]
        for start, end in query.branches:
            prefix = query.tokens[: query.length + self.branch_after + 1]
            branch = self._continued(prefix + query.tokens[start:end], partial(_attention, self.model))
            parts.append(branch[len(prefix) :])
        return torch.cat(parts)

    def _continued(self, tokens: list[int], attend: Any) -> Tensor:
        ids = torch.tensor([tokens], device=self.model.anatomy.device)
        with attention_routed(self.model.anatomy, attend):
            output = self.model.anatomy.decoder(
                input_ids=ids, past_key_values=copy_with_derivatives(self.cache), use_cache=True
            )
        return output.last_hidden_state[0]


def _attention(model: Model, call: AttentionCall) -> Tensor:
    return causal_attention(behind_prefix(model, call))


def unpacked_batches(model: Model, prompts: Prompts) -> Iterator[UnpackedBatch]:
    """One batch per query.

    Raises:
        UserError: queries are to stand at positions of their own, which such a network cannot be told.
    """
    if prompts.first_query_position != len(prompts.context):
        raise UserError(
            f"{model.name} counts positions by itself",
            "queries right after their context",
            "Leave align_positions off for this model",
        )
    cache = DynamicCache()
    ids = torch.tensor([prompts.context], device=model.anatomy.device)
    with attention_routed(model.anatomy, partial(_attention, model)):
        model.anatomy.decoder(input_ids=ids, past_key_values=cache, use_cache=True)
    for query in range(len(prompts.queries)):
        yield UnpackedBatch(model, [segment(prompts, query)], cache, prompts.answer_offset)
