"""What a change of parameters does to first order is what a small change does, divided by its size."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from demograd.models import ARCHITECTURES, Model
from demograd.observe import Observation, observe
from demograd.tasks.prompts import Prompts

MakeModel = Callable[..., Model]

# behind a context longer than every sliding window in `conftest.CONFIGS`; answers of one token and of two
PROMPTS = Prompts([0, 5, 9, 11, 40, 41, 42, 43, 44], [[7, 8, 9, 30], [4, 5]], [[3], [6, 7]], [0, 1])
EXTRAS: Any = ("next_token_log_probs", "context_logits", "query_vectors")


def random_change(network: Any, size: float) -> dict[str, Tensor]:
    """A random change of every parameter, embeddings and norms too."""
    generator = torch.Generator().manual_seed(1)
    parameters = network.named_parameters()
    return {name: size * torch.randn(parameter.shape, generator=generator) for name, parameter in parameters}


def observed_with(model: Model, change: Mapping[str, Tensor], times: float) -> Observation:
    """With the change, times a number, made in the network itself."""
    parameters = dict(model.network.named_parameters())
    before = {name: parameter.clone() for name, parameter in parameters.items()}
    with torch.no_grad():
        for name, tangent in change.items():
            parameters[name] += times * tangent
        result = observe(model, PROMPTS, extras=EXTRAS)
        for name, values in before.items():
            parameters[name].copy_(values)
    return result


def tensors(observation: Observation) -> dict[str, Tensor]:
    """Every recorded floating-point tensor by name."""
    by_name: dict[str, Tensor] = {}
    for field in fields(observation):
        value = getattr(observation, field.name)
        for number, tensor in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                by_name[f"{field.name} {number}"] = tensor
    return by_name


@pytest.mark.parametrize(
    "kind", sorted(kind for kind, architecture in ARCHITECTURES.items() if architecture.forward_mode)
)
def test_the_derivative_is_the_limit_of_small_changes(kind: str, random_model: MakeModel) -> None:
    model = random_model(kind)
    change = random_change(model.network, size=0.02)
    before = tensors(observe(model, PROMPTS, extras=EXTRAS))
    linear = tensors(observe(replace(model, change=change), PROMPTS, extras=EXTRAS))
    step = 0.003
    tolerance = 3e-2 if kind in ("olmo", "opt") else 5e-3  # a small change may cross the kinks of a clip or a ReLU
    up, down = (tensors(observed_with(model, change, times)) for times in (step, -step))
    assert linear.keys() == before.keys() and len(before) >= 7
    for name, value in before.items():
        derivative, expected = linear[name] - value, (up[name] - down[name]) / (2 * step)
        assert expected.norm() > 1e-3 * value.norm(), name
        assert (derivative - expected).norm() < tolerance * expected.norm(), name


def test_first_order_is_not_the_whole_of_a_large_change(random_model: MakeModel) -> None:
    """It grows in proportion, so doubling the change doubles it; what the network does then is something else."""
    model = random_model("llama")
    change = random_change(model.network, size=0.02)
    twice = {name: 2 * tangent for name, tangent in change.items()}
    before = observe(model, PROMPTS).attention_output
    once, double = (observe(replace(model, change=step), PROMPTS).attention_output for step in (change, twice))
    torch.testing.assert_close(double - before, 2 * (once - before), rtol=1e-3, atol=1e-5)
    true = observed_with(model, change, 2.0).attention_output
    assert (true - double).norm() > 0.05 * (double - before).norm()


def test_no_change_adds_nothing_and_first_order_probabilities_need_not_add_up(random_model: MakeModel) -> None:
    model = random_model("qwen3")
    change = random_change(model.network, size=0.1)
    still = {name: torch.zeros_like(tangent) for name, tangent in change.items()}
    before = tensors(observe(model, PROMPTS, extras=EXTRAS))
    for name, tensor in tensors(observe(replace(model, change=still), PROMPTS, extras=EXTRAS)).items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-5, atol=1e-5, msg=name)
    log_probs = observe(replace(model, change=change), PROMPTS, extras=EXTRAS).next_token_log_probs
    assert log_probs is not None
    assert abs(log_probs.exp().sum(dim=-1).max().item() - 1) > 0.01


class Interrupted(Exception):
    pass


def test_the_weights_stay_as_they_are_also_after_an_error(random_model: MakeModel) -> None:
    model = random_model("gpt2")  # tied embeddings
    changing = replace(model, change=random_change(model.network, size=0.1))
    before = {name: parameter.clone() for name, parameter in model.network.named_parameters()}
    plain = tensors(observe(model, PROMPTS))

    def interrupt(done: int) -> None:
        raise Interrupted

    observe(changing, PROMPTS)
    with pytest.raises(Interrupted):
        observe(changing, PROMPTS, on_progress=interrupt)
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter.view(torch.uint8), before[name].view(torch.uint8)), name
    assert all(torch.equal(tensor, plain[name]) for name, tensor in tensors(observe(model, PROMPTS)).items())
