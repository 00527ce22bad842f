"""Training sequences of random tokens, and masks of a network's key and value parameters."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from demograd.tasks.prompts import TrainingSequence


@pytest.fixture(scope="session")
def random_sequences() -> Callable[..., list[TrainingSequence]]:
    """Make sequences by length; every third token after the first does not count in the loss."""

    def make(*lengths: int, seed: int = 0) -> list[TrainingSequence]:
        generator = torch.Generator().manual_seed(seed)
        return [
            TrainingSequence(
                [0, *torch.randint(3, 97, (length - 1,), generator=generator).tolist()],
                [place > 0 and place % 3 != 2 for place in range(length)],
            )
            for length in lengths
        ]

    return make


@pytest.fixture(scope="session")
def keys_and_values() -> Callable[[Any], dict[str, Tensor]]:
    """A function that masks the entries of key and value projections, by parameter; from the code of the model cards.

    Parameters without such entries are left out. The fused layouts are those of `conftest.CONFIGS`: 4 heads of 16.
    """

    def find(network: Any) -> dict[str, Tensor]:
        masks = {}
        for name, parameter in network.named_parameters():
            mask = torch.zeros(parameter.shape, dtype=torch.bool)
            if ".k_proj." in name or ".v_proj." in name:
                mask[...] = True
            elif ".c_attn." in name:  # GPT-2: [in, 64 queries + 64 keys + 64 values]
                mask[..., 64:] = True
            elif ".qkv_proj." in name:  # Phi-3: 64 queries, 32 keys, 32 values
                mask[64:] = True
            elif ".query_key_value." in name and len(mask) == 192:  # GPT-NeoX, BLOOM: per head 16 of each
                mask.view(4, 3, 16, -1)[:, 1:] = True
            elif ".query_key_value." in name and len(mask) == 128:  # Falcon 40B: two groups of 32 queries, 16, 16
                mask.view(2, 4, 16, -1)[:, 2:] = True
            elif ".query_key_value." in name:  # Falcon 7B: 64 queries, 16 keys, 16 values
                mask[64:] = True
            if mask.any() and ".encoder_attn." not in name:
                masks[name] = mask
        return masks

    return find
