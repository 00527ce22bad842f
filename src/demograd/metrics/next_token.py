"""Do two settings predict the same next tokens, and how much does the order of the demonstrations change them?"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from demograd.metrics.observations import next_token_log_probs, require_same_queries
from demograd.metrics.registry import SHARE, SIZE, metric
from demograd.observe.observation import Observation

TOP = 10
"""K of the paper."""


@metric(
    "Token Overlap",
    source="Shen 2023",
    group="distribution",
    measure="output_overlap",
    table="What is predicted",
    per="query",
    bounds=SHARE,
    extras={"ICL": ("next_token_log_probs",), "FT": ("next_token_log_probs",)},
)
def token_overlap(a: Observation, b: Observation, top: int = TOP) -> Float[Tensor, " queries"]:
    """Share of common tokens among the 10 most probable next tokens of two settings.

    |O| / K, O being the tokens that are among the K most probable of both. Where tokens tie for the last places, those
    with the lowest ids get them. Of two ICL observations with different orders of the demonstrations it is the paper's
    reference: what ICL agrees with itself.

    **Raises:** ValueError for observations that do not match, that hold no next-token
    distribution, or one of fewer than K tokens.
    """
    is_common, _, _ = _common(a, b, top)
    return is_common.float().mean(dim=-1)


@metric(
    "Overlap Cosine Similarity",
    source="Shen 2023",
    group="distribution",
    measure="output_overlap",
    table="What is predicted",
    per="query",
    bounds=SHARE,
    extras={"ICL": ("next_token_log_probs",), "FT": ("next_token_log_probs",)},
)
def overlap_cosine_similarity(a: Observation, b: Observation, top: int = TOP) -> Float[Tensor, " queries"]:
    """Σ p·q / √(Σp² · Σq² + (10 − |O|)), over the common tokens O of the two sets of 10.

    p and q are the probabilities in `a` and `b`. Zero where O is empty: nothing agrees. With |O| = K it is the cosine
    of p and q; every token that is not common adds one under the root, much more than any product of probabilities, so
    that the score is small unless all K are.

    **Raises:** as `token_overlap`.
    """
    is_common, p, q = _common(a, b, top)
    p, q = p * is_common, q * is_common
    not_common = (~is_common).sum(dim=-1)
    return ((p * q).sum(dim=-1) / (p.square().sum(dim=-1) * q.square().sum(dim=-1) + not_common).sqrt()).float()


@metric(
    "order sensitivity",
    source="Shen 2023, Figure 4",
    group="distribution",
    measure="order_sensitivity",
    table=None,
    per="query",
    bounds=SIZE,
    extras={"ICL": ("next_token_log_probs",), "FT": ("next_token_log_probs",)},
)
def order_sensitivity(orders: Iterable[Observation]) -> Float[Tensor, " queries"]:
    """Standard deviation of next-token probabilities over orders of the demonstrations, mean over the vocabulary.

    The paper takes 10 orders of 8 demonstrations, and does not say which standard deviation: this is the sample's,
    divided by n − 1, the estimate for all orders from a few. Per query; report its mean. Equal algorithms have equal
    order sensitivity (Theorem 1); full-batch GD has none up to rounding. NaN (missing) with fewer than two orders. Its
    size goes with 1 / vocabulary, so compare it within one model only.

    **Raises:** ValueError without any observation, for observations that do not match,
    or that hold no next-token distribution.
    """
    spread = OrderSensitivity()
    for observation in orders:
        spread.add(observation)
    return spread.value()


class OrderSensitivity:
    """`order_sensitivity` of observations that come one at a time: only two [queries, vocabulary] are kept.

    Welford's method (1962) in float64: probabilities that are all the same have a spread of exactly zero.
    """

    def __init__(self) -> None:
        self.n = 0
        """Orders so far."""
        self._first: Observation | None = None
        self._mean = self._squares = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, observation: Observation) -> None:
        """Take in one order. **Raises:** as `order_sensitivity`."""
        if self._first is not None:
            require_same_queries(**{"the first order": self._first, f"order {self.n + 1}": observation})
        [log_probs] = next_token_log_probs(order=observation)
        p = log_probs.exp()
        if self._first is None:
            # what is left is all that it takes to see whether the next one matches
            self._first = replace(observation, next_token_log_probs=None)
            self._mean, self._squares = torch.zeros_like(p), torch.zeros_like(p)
        self.n += 1
        from_old_mean = p - self._mean
        self._mean += from_old_mean / self.n
        self._squares += from_old_mean * (p - self._mean)

    def value(self) -> Float[Tensor, " queries"]:
        """The order sensitivity of the orders so far. **Raises:** ValueError before the first."""
        if self.n == 0:
            raise ValueError("order sensitivity takes observations, one per order of the demonstrations; there is none")
        if self.n == 1:
            return torch.full((len(self._mean),), torch.nan)
        return (self._squares / (self.n - 1)).sqrt().mean(dim=-1).float()


def _common(
    a: Observation, b: Observation, top: int
) -> tuple[Bool[Tensor, "queries top"], Float[Tensor, "queries top"], Float[Tensor, "queries top"]]:
    """For each of the top tokens of `a`: whether it is one of `b`, and its probability in `a` and in `b`."""
    log_p, log_q = next_token_log_probs(a=a, b=b)
    tokens = _ids(_is_top(log_p, top), top)
    return _is_top(log_q, top).gather(-1, tokens), log_p.gather(-1, tokens).exp(), log_q.gather(-1, tokens).exp()


def _is_top(log_probs: Float[Tensor, "queries vocabulary"], top: int) -> Bool[Tensor, "queries vocabulary"]:
    """True for the `top` most probable tokens of each query. `topk` alone leaves open which of tied tokens it takes."""
    if log_probs.shape[-1] < top:
        raise ValueError(f"the {top} most probable of {log_probs.shape[-1]} tokens were asked for")
    last = log_probs.topk(top, dim=-1).values[:, -1:]
    above, tied = log_probs > last, log_probs == last
    return above | (tied & (tied.cumsum(dim=-1) <= top - above.sum(dim=-1, keepdim=True)))


def _ids(is_top: Bool[Tensor, "queries vocabulary"], top: int) -> Int[Tensor, "queries top"]:
    return is_top.nonzero()[:, 1].reshape(-1, top)
