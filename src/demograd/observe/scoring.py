"""Label scores: the mean log-probability of each class's answer tokens."""

import torch
from torch import Tensor

from demograd.models import Anatomy
from demograd.observe.packed import Segment
from demograd.tasks.prompts import Prompts


def vocabulary_log_probs(anatomy: Anatomy, normed: Tensor) -> Tensor:
    """Log-probabilities, float32 `[rows, vocabulary]`, of hidden states after the final norm `[rows, hidden]`."""
    return anatomy.exact_logits(normed).log_softmax(dim=-1)


def label_scores(anatomy: Anatomy, prompts: Prompts, segments: list[Segment], normed: Tensor) -> tuple[Tensor, Tensor]:
    """Each class's mean log-probability `[segments, classes]`, and the next-token row `[segments, vocabulary]`.

    In float32 whatever the network's dtype, so that two label words tie only where the network gives them equal rows.

    Args:
        anatomy: of the network; its vocabulary projection runs only at the rows that are scored.
        prompts: the candidates and where they are predicted.
        segments: one per query, laid end to end in `normed`.
        normed: hidden states of all tokens after the final norm `[tokens, hidden]`.
    """
    starts = torch.tensor([0, *(len(segment.tokens) for segment in segments)]).cumsum(0)[:-1]
    answers = starts + torch.tensor([segment.length for segment in segments]) + prompts.answer_offset
    hidden = normed.index_select(0, answers.to(normed.device))
    logits = anatomy.exact_logits(hidden)
    total = logits.logsumexp(dim=-1)
    of_classes = [_log_probs(anatomy, hidden, total, candidate[:1]) for candidate in prompts.candidates]
    branches = [(label, candidate) for label, candidate in enumerate(prompts.candidates) if len(candidate) > 1]
    for number, (label, candidate) in enumerate(branches, start=1):
        begins = starts + torch.tensor([segment.starts[number] for segment in segments])
        rows = (begins[:, None] + torch.arange(len(candidate) - 1)).flatten().to(normed.device)
        after = normed.index_select(0, rows)
        rest = _log_probs(anatomy, after, anatomy.exact_logits(after).logsumexp(dim=-1), candidate[1:])
        of_classes[label] = torch.cat([of_classes[label], rest], dim=-1)
    scores = torch.stack([log_probs.mean(dim=-1) for log_probs in of_classes], dim=-1)
    return scores, logits.log_softmax(dim=-1)


def _log_probs(anatomy: Anatomy, hidden: Tensor, total: Tensor, tokens: list[int]) -> Tensor:
    """Log-probabilities `[segments, tokens]` of these tokens, one after each row of a segment.

    Args:
        anatomy: of the network.
        hidden: `[segments × tokens, hidden]`, segment by segment.
        total: log of the summed exponentials of all logits `[segments × tokens]`.
        tokens: the same for every segment.
    """
    targets = torch.tensor(tokens).repeat(len(hidden) // len(tokens))
    log_probs = anatomy.exact_logits_of(hidden, targets) - total
    return log_probs.clamp(max=0).unflatten(0, (-1, len(tokens)))
