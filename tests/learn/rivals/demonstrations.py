"""Demonstrations of random tokens, whose answers have one token or two, and their loss by Hugging Face's own pass."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from demograd.tasks.prompts import TrainingSequence

SEPARATOR = (4,)
ANSWERS = ([5], [6, 7])


def demonstrations(*lengths: int, seed: int = 0) -> list[TrainingSequence]:
    """One for each length of text; answers take turns; every token but BOS counts in the loss."""
    generator = torch.Generator().manual_seed(seed)
    sequences = []
    for number, length in enumerate(lengths):
        text = torch.randint(10, 97, (length,), generator=generator).tolist()
        tokens = [0, *text, *ANSWERS[number % 2]]
        sequences.append(TrainingSequence(tokens, [False, *[True] * (len(tokens) - 1)], 1 + length, SEPARATOR))
    return sequences


def plain_loss(logits: Tensor, sequence: TrainingSequence) -> Tensor:
    """Mean cross-entropy of the tokens that count, from the logits of all."""
    counted = torch.tensor(sequence.loss_mask).nonzero().squeeze(1)
    return cross_entropy(logits[counted - 1], torch.tensor(sequence.tokens)[counted])


def logits_of(network: Any, sequence: TrainingSequence, **arguments: Any) -> Tensor:
    """Of all tokens `[tokens, vocabulary]`."""
    logits: Tensor = network(input_ids=torch.tensor([sequence.tokens]), **arguments).logits[0]
    return logits
