"""How a demonstration is cut into the forward passes of training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from demograd.tasks.prompts import TrainingSequence


@dataclass(frozen=True, eq=False)
class TrainingPass:
    """What one forward pass runs, and what is learned from it."""

    tokens: list[int]
    rows: Tensor
    """Places of the tokens whose next token counts; none: nothing is learned."""
    targets: Tensor
    """Those next tokens."""


def whole(sequence: TrainingSequence) -> TrainingPass:
    """All tokens at once."""
    counted = torch.tensor(sequence.loss_mask).nonzero().squeeze(1)
    return TrainingPass(sequence.tokens, counted - 1, torch.tensor(sequence.tokens)[counted])


def by_token(sequence: TrainingSequence, *, to_the_end: bool) -> list[TrainingPass]:
    """Token after token, each behind those before it, to learn its next token where that counts (Deutch 2024 §4.4).

    From the last token nothing is learned, so it runs only `to_the_end`.
    """
    full = whole(sequence)
    passes = []
    for last in range(len(full.tokens) if to_the_end else len(full.tokens) - 1):
        here = full.rows == last
        passes.append(TrainingPass(full.tokens[: last + 1], full.rows[here], full.targets[here]))
    return passes
