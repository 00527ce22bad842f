"""Label scores: the mean log-probability of each class's answer tokens."""

import torch
from torch import Tensor

from demograd.models import Anatomy, Model
from demograd.observe.packed import Segment
from demograd.tasks.prompts import Prompts


def vocabulary_log_probs(anatomy: Anatomy, normed: Tensor) -> Tensor:
    """Log-probabilities, float32 `[rows, vocabulary]`, of hidden states after the final norm `[rows, hidden]`."""
    return anatomy.exact_logits(normed).log_softmax(dim=-1)


def label_scores(model: Model, prompts: Prompts, segments: list[Segment], normed: Tensor) -> tuple[Tensor, Tensor]:
    """Each class's mean log-probability `[segments, classes]`, and the next-token row `[segments, vocabulary]`.

    In float32 whatever the network's dtype, so that two label words tie only where the network gives them equal rows.

    Args:
        model: its vocabulary projection runs only at the rows that are scored.
        prompts: the candidates and where they are predicted.
        segments: one per query, laid end to end in `normed`.
        normed: hidden states of all tokens after the final norm `[tokens, hidden]`.
    """
    starts = torch.tensor([0, *(len(segment.tokens) for segment in segments)]).cumsum(0)[:-1]
    ends = [segment.length + prompts.answer_offset + 1 for segment in segments]
    hidden = normed.index_select(0, (starts + torch.tensor(ends) - 1).to(normed.device))
    queries = [segment.tokens[:end] for segment, end in zip(segments, ends, strict=True)]
    at_answer = _Rows(model, hidden, queries)
    of_classes = [at_answer.log_probs(candidate[:1]) for candidate in prompts.candidates]
    branches = [(label, candidate) for label, candidate in enumerate(prompts.candidates) if len(candidate) > 1]
    for number, (label, candidate) in enumerate(branches, start=1):
        begins = starts + torch.tensor([segment.starts[number] for segment in segments])
        rows = (begins[:, None] + torch.arange(len(candidate) - 1)).flatten().to(normed.device)
        before = [query + candidate[:end] for query in queries for end in range(1, len(candidate))]
        rest = _Rows(model, normed.index_select(0, rows), before).log_probs(candidate[1:])
        of_classes[label] = torch.cat([of_classes[label], rest], dim=-1)
    scores = torch.stack([log_probs.mean(dim=-1) for log_probs in of_classes], dim=-1)
    return scores, at_answer.logits.log_softmax(dim=-1)


class _Rows:
    """Next-token logits behind rows of hidden states, with what the model's intervention adds to them."""

    def __init__(self, model: Model, hidden: Tensor, before: list[list[int]]) -> None:
        self.anatomy, self.hidden = model.anatomy, hidden
        self.logits = model.anatomy.exact_logits(hidden)
        self.change: Tensor | None = None
        if model.intervention is not None and model.intervention.logit_change is not None:
            self.change = model.intervention.logit_change(hidden, self.logits, before)
            self.logits = self.logits + self.change
        self.total = self.logits.logsumexp(dim=-1)
        """Log of the summed exponentials."""

    def log_probs(self, tokens: list[int]) -> Tensor:
        """Log-probabilities `[segments, tokens]` of these tokens, one after each row of a segment."""
        targets = torch.tensor(tokens).repeat(len(self.hidden) // len(tokens))
        logits = self.anatomy.exact_logits_of(self.hidden, targets)
        if self.change is not None:
            logits = logits + self.change.gather(-1, targets.to(self.change.device)[:, None]).squeeze(-1)
        return (logits - self.total).clamp(max=0).unflatten(0, (-1, len(tokens)))
