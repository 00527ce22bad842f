"""Observations made by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from demograd.observe.observation import Observation

Make = Callable[..., Observation]


@pytest.fixture
def observation() -> Make:
    """A function that makes an observation of `queries` queries; arguments left out are random, from `seed`."""

    def make(
        *,
        outputs: Tensor | None = None,
        rows: list[Tensor] | None = None,
        log_probs: Tensor | None = None,
        gold: list[int] | None = None,
        queries: int = 4,
        seed: int = 0,
        dtype: str = "float32",
    ) -> Observation:
        random = torch.Generator().manual_seed(seed)
        for argument in (outputs, rows, log_probs, gold):
            queries = queries if argument is None else len(argument)
        layers = outputs.shape[1] if outputs is not None else rows[0].shape[0] if rows else 2
        if outputs is None:
            outputs = torch.randn(queries, layers, 8, generator=random)
        if rows is None:
            rows = [torch.randn(layers, 3, 3 + query, generator=random) for query in range(queries)]
        if log_probs is None:
            log_probs = torch.randn(queries, 2, generator=random).log_softmax(-1)
        if gold is None:
            gold = [query % 2 for query in range(queries)]
        return Observation(outputs, rows, log_probs, torch.tensor(gold), dtype=dtype)

    return make
