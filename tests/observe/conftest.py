"""Prompts of random tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from demograd.tasks.prompts import Prompts


@pytest.fixture(scope="session")
def random_prompts() -> Callable[..., Prompts]:
    """Make prompts by the length of their context and queries; the answers take one, three and two tokens."""

    def make(context: int = 14, lengths: tuple[int, ...] = (6, 3, 9, 4, 2, 7), **settings: Any) -> Prompts:
        generator = torch.Generator().manual_seed(context)

        def tokens(count: int) -> list[int]:
            return torch.randint(3, 97, (count,), generator=generator).tolist()

        given = {"candidates": [[5], [6, 7, 8], [9, 10]], "gold": [which % 3 for which in range(len(lengths))]}
        return Prompts([0, *tokens(context - 1)], [tokens(length) for length in lengths], **given | settings)

    return make
