"""Linearised FT is the tangent of FT: it agrees with a tiny learning rate, and not with a large one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences

from demograd.errors import UserError
from demograd.learn import GradientDescent, LayerCausalGradientDescent, ParameterSubset, fine_tuned
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.tasks.prompts import Prompts, TrainingSequence

PROMPTS = Prompts([0, 5, 9, 11], [[7, 8, 9], [4, 5]], [[3], [6, 7]], [0, 1])
METHODS = {
    "GD": GradientDescent(learning_rate=1.0),
    "LCGD": LayerCausalGradientDescent(learning_rate=1.0),
    "all": GradientDescent(learning_rate=1.0, parameters=ParameterSubset(which="all", fraction=0.5), step="batch"),
}


def after(model: Model, sequences: list[TrainingSequence], method: Any, **changes: Any) -> Observation:
    with fine_tuned(model, sequences, replace(method, **changes)) as tuned:
        return observe(tuned, PROMPTS)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "xglm", "bart"])
def test_it_is_what_a_tiny_rate_does_and_not_what_a_large_one_does(
    kind: str, name: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model, sequences, method = random_model(kind), random_sequences(12, 9), METHODS[name]
    before = observe(model, PROMPTS)
    ratios = []
    for rate in (5e-4, 0.1):
        plain, linear = (after(model, sequences, method, learning_rate=rate, linearised=on) for on in (False, True))
        for field in ("attention_output", "label_log_probs"):
            full, first_order = (
                getattr(observation, field) - getattr(before, field) for observation in (plain, linear)
            )
            ratios.append(((full - first_order).norm() / first_order.norm()).item())
    assert max(ratios[:2]) < 0.1 and max(ratios[:2]) < ratios[2] / 3 and ratios[3] > 0.1, ratios


def test_the_weights_are_back_before_anything_is_observed_and_the_change_is_what_training_made(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model, sequences = random_model("phi3"), random_sequences(12, 9)
    before = {name: parameter.clone() for name, parameter in model.network.named_parameters()}
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01)) as tuned:
        assert tuned.change is None
        change = {name: parameter - before[name] for name, parameter in tuned.network.named_parameters()}
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01, linearised=True)) as tuned:
        assert tuned.change is not None and set(tuned.change) == {name for name in change if "qkv_proj" in name}
        for name, parameter in tuned.network.named_parameters():
            assert torch.equal(parameter, before[name])
            torch.testing.assert_close(
                tuned.change.get(name, torch.zeros_like(parameter)), change[name], rtol=0, atol=1e-7
            )
        with pytest.raises(ValueError, match="trained further"), fine_tuned(tuned, sequences, tuned.method):
            pass
    assert observe(model, PROMPTS).label_log_probs.isfinite().all()


def test_in_16_bit_the_change_includes_what_rounding_would_lose(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """A step of 2e-5 hardly moves a bfloat16 weight, but its derivative is not lost."""
    model, sequences = random_model("llama", dtype=torch.bfloat16), random_sequences(12)
    model = replace(model, dtype="bfloat16")
    with fine_tuned(model, sequences, GradientDescent(learning_rate=2e-5, linearised=True)) as tuned:
        assert tuned.change is not None
        changed = tuned.change["model.layers.1.self_attn.v_proj.weight"] != 0
        assert changed.float().mean() > 0.99
        assert observe(tuned, PROMPTS).attention_output.isfinite().all()


def test_a_network_without_a_forward_derivative_is_refused(random_model: MakeModel) -> None:
    model = random_model("bloom")
    sequences = [TrainingSequence([0, 5, 6], [False, True, True])]
    method = GradientDescent(learning_rate=0.01, linearised=True)
    with pytest.raises(UserError, match="linearised for bloom"), fine_tuned(model, sequences, method):
        pass
