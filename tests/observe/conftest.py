"""Prompts of random tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from demograd.tasks.prompts import Prompts


@pytest.fixture(scope="session")
def random_prompts() -> Callable[..., Prompts]:
    """Make prompts by the length of their context and queries; the answers take one, three and two tokens.

    Two demonstrations fill the context but for BOS and a separator after each; a context too short for them has the
    whole of itself as one.
    """

    def make(context: int = 14, lengths: tuple[int, ...] = (6, 3, 9, 4, 2, 7), **settings: Any) -> Prompts:
        generator = torch.Generator().manual_seed(context)

        def tokens(count: int) -> list[int]:
            return torch.randint(3, 97, (count,), generator=generator).tolist()

        half = context // 2
        fields = {
            "candidates": [[5], [6, 7, 8], [9, 10]],
            "gold": [query % 3 for query in range(len(lengths))],
            "demonstration_spans": [(1, half), (half + 1, context - 1)] if half > 2 else [(0, context)],
        }
        return Prompts([0, *tokens(context - 1)], [tokens(length) for length in lengths], **fields | settings)

    return make
