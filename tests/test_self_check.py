"""`demograd check` passes on a small network of every architecture, and each of its checks can fail."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.conftest import CONFIGS

from demograd.models import Model
from demograd.self_check import check_model

MakeModel = Callable[..., Model]


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_every_architecture_passes_every_check(kind: str, random_model: MakeModel) -> None:
    checks = check_model(random_model(kind))
    assert [check for check in checks if not check.passed] == []
    windowed = kind in (
        "mistral",
        "qwen2",
        "gemma2",
        "gemma3_text",
        "smollm3",
        "starcoder2",
        "phi3",
        "gpt_neo",
        "gpt_oss",
        "llama4_text",
    )
    assert len(checks) == 5 + windowed


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "xglm", "gemma2", "gptj", "bloom", "falcon alibi"])
def test_16_bit_networks_pass_within_their_rounding(kind: str, dtype: str, random_model: MakeModel) -> None:
    """Their trained parameters have float32 masters, and every bit comes back."""
    model = replace(random_model(kind, dtype=getattr(torch, dtype)), dtype=dtype)
    assert [check for check in check_model(model) if not check.passed] == []


@pytest.mark.parametrize("kind", ["bloom", "falcon alibi"])
def test_the_check_sees_a_position_bias_that_is_left_out(
    kind: str, random_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(kind)
    assert all(check.passed for check in check_model(model))
    monkeypatch.setattr(type(model.anatomy), "position_bias", lambda self, positions: None)
    failed = [check.name for check in check_model(model) if not check.passed]
    assert "softmax of the recorded logits equals the attention probabilities" in failed
    assert "packed equals one by one, next-token log-probabilities" in failed
