"""Order sensitivity: how much does the order of the demonstrations change what comes next?"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import next_token_log_probs, require_same_queries
from demograd.observe.observation import Observation


def order_sensitivity(orders: Iterable[Observation]) -> Float[Tensor, " queries"]:
    """Standard deviation of each token's next-token *probability* over orders of the same demonstrations, averaged over
    the vocabulary.

    The paper takes 10 orders of 8 demonstrations, and does not say which standard deviation: this is the sample's,
    divided by n − 1, the estimate for all orders from a few. Per query; report its mean. Equal algorithms have equal
    order sensitivity (Theorem 1); full-batch GD has none up to rounding. NaN (missing) with fewer than two orders. Its
    size goes with 1 / vocabulary, so compare it within one model only.

    **Source:** Shen 2023, Figure 4. **Raises:** ValueError without any observation, for observations that do not match,
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
