"""Memory that runs out makes passes smaller; it ends nothing, and changes nothing but the order of sums."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demograd.models import Model, find_anatomy
from demograd.observe import observe
from demograd.observe.self_check import random_prompts

WIDE = 2**16
"""Width of the feed-forward layer: a pass of 512 tokens takes some 134 MB for an activation, of 64 some 17 MB."""


@pytest.fixture(scope="module")
def wide() -> Model:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=WIDE,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.2,
    )
    network = LlamaForCausalLM(config).eval().requires_grad_(False)
    return Model("wide", network, None, find_anatomy(network))


@contextmanager
def memory_left(megabytes: int) -> Iterator[None]:
    """The operating system gives this process no more than that."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much memory is in use is read from /proc")
def test_passes_are_halved_until_they_fit(wide: Model) -> None:
    prompts = random_prompts(wide, context=12, lengths=(16,) * 32)  # one pass of 512 tokens
    at_ease = observe(wide, prompts)
    with memory_left(200):
        pressed = observe(wide, prompts)
    assert at_ease.notes == ()
    (note,) = pressed.notes
    assert note.startswith("memory ran out") and int(note.split()[-2]) in (32, 64, 128, 256)
    torch.testing.assert_close(pressed.attention_output, at_ease.attention_output)
    torch.testing.assert_close(pressed.label_log_probs, at_ease.label_log_probs)
    assert pressed.gold.tolist() == at_ease.gold.tolist()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much memory is in use is read from /proc")
def test_a_single_query_that_does_not_fit_is_an_error(wide: Model) -> None:
    prompts = random_prompts(wide, context=12, lengths=(400, 400))
    observe(wide, random_prompts(wide))  # which finds out how it can be observed
    with memory_left(60), pytest.raises(RuntimeError, match="can't allocate memory"):
        observe(wide, prompts)


def test_another_error_is_not_taken_for_a_lack_of_memory(wide: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from demograd.observe.packed import PackedBatch

    calls = []

    def wrong(batch: PackedBatch, recorder: object) -> None:
        calls.append(batch)
        raise RuntimeError("shapes do not fit")

    observe(wide, random_prompts(wide))
    monkeypatch.setattr(PackedBatch, "forward", wrong)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        observe(wide, random_prompts(wide))
    assert len(calls) == 1
