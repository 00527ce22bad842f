"""Label scores: the mean log-probability of each class's answer tokens."""

import torch
from torch import Tensor

from demograd.models import Anatomy
from demograd.observe.packing import Segment
from demograd.tasks.prompts import Prompts


def next_token_log_probs(anatomy: Anatomy, normed: Tensor) -> Tensor:
    """Log-probabilities, float32 `[rows, vocabulary]`, of hidden states after the final norm `[rows, hidden]`."""
    return anatomy.unembed(normed).float().log_softmax(dim=-1)


def label_scores(anatomy: Anatomy, prompts: Prompts, segments: list[Segment], normed: Tensor) -> tuple[Tensor, Tensor]:
    """Each class's mean log-probability `[segments, classes]`, and the next-token row `[segments, vocabulary]`.

    Args:
        anatomy: of the network; its vocabulary projection runs only at the rows that are scored.
        prompts: the candidates and where they are predicted.
        segments: one per query, laid end to end in `normed`.
        normed: hidden states of all tokens after the final norm `[tokens, hidden]`.
    """
    starts = torch.tensor([0, *(len(one.tokens) for one in segments)]).cumsum(0)[:-1]
    answers = starts + torch.tensor([one.length for one in segments]) + prompts.answer_offset
    at_answer = next_token_log_probs(anatomy, normed.index_select(0, answers.to(normed.device)))
    first = torch.tensor([candidate[0] for candidate in prompts.candidates], device=at_answer.device)
    scores = at_answer.index_select(1, first)
    branches = [(which, candidate) for which, candidate in enumerate(prompts.candidates) if len(candidate) > 1]
    for number, (which, candidate) in enumerate(branches, start=1):
        begins = starts + torch.tensor([one.starts[number] for one in segments])
        rows = (begins[:, None] + torch.arange(len(candidate) - 1)).flatten().to(normed.device)
        after = next_token_log_probs(anatomy, normed.index_select(0, rows)).unflatten(0, (len(segments), -1))
        rest = torch.tensor(candidate[1:], device=after.device).expand(len(segments), -1)[..., None]
        scores[:, which] = (scores[:, which] + after.gather(2, rest).sum(dim=(1, 2))) / len(candidate)
    return scores, at_answer
