"""Query vectors of the training tokens, each taken before its step's update (Dai 2023, attention to demonstrations)."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.observe import AttentionCall, query_vectors
from demograd.observe.attention_hook import Attend
from demograd.tasks.prompts import TrainingSequence


class TrainingQueries:
    """Records each training token's query vectors from the first pass that runs it; later passes add nothing.

    Training goes through the demonstrations in order, so whatever is not kept yet belongs to the first of them that is
    not complete.
    """

    def __init__(self, sequences: Sequence[TrainingSequence]) -> None:
        self._lengths = [len(sequence.tokens) for sequence in sequences]
        self._recorded: defaultdict[int, list[Tensor]] = defaultdict(list)  # per layer, demonstrations end to end

    def watch(self, attend: Attend) -> Attend:
        """The same attention, its queries kept."""

        def watched(call: AttentionCall) -> Tensor:
            recorded = self._recorded[call.layer]
            done = sum(len(rows) for rows in recorded)
            if done < sum(self._lengths):
                begins = max(start for start in accumulate(self._lengths, initial=0) if start <= done)
                recorded.append(query_vectors(call)[done - begins :].detach().cpu())
            return attend(call)

        return watched

    def per_demonstration(self) -> list[Float[Tensor, "_tokens layers width"]]:
        """Scaled, heads concatenated (width = heads × head_dim), before rotary positions; float32 on the CPU."""
        layers = [torch.cat(self._recorded[layer]) for layer in sorted(self._recorded)]
        return list(torch.stack(layers, dim=1).split(self._lengths))
