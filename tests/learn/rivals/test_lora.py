"""LoRA, against autograd over W + BA on the network's own loss."""

from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import demonstrations, plain_loss
from torch import Tensor
from torch.func import functional_call

from demograd import UserError
from demograd.learn import FineTuningJob, ParameterSubset, fine_tuned, fine_tuned_together
from demograd.learn.parameters import generator_of
from demograd.learn.rivals.lora import LowRankAdaptation
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence

Factors = dict[str, tuple[Tensor, Tensor]]
"""B `[outputs, rank]` and A `[rank, inputs]` by the place of a matrix in the network."""


def key_and_value_places(kind: str) -> dict[str, tuple[str, int]]:
    """Slice name → parameter and first column of GPT-2's [in, 64 queries + 64 keys + 64 values] (llama: 0)."""
    places = {}
    for layer in range(3):
        for part, column in (("key", 64), ("value", 128)):
            if kind == "gpt2":
                places[f"{layer}.{part}.weight"] = (f"transformer.h.{layer}.attn.c_attn.weight", column)
            else:
                places[f"{layer}.{part}.weight"] = (f"model.layers.{layer}.self_attn.{part[0]}_proj.weight", 0)
    return places


def first_factors(model: Model, method: LowRankAdaptation) -> Factors:
    """B of zeros, and A as drawn."""
    factors = {}
    for layer in range(3):
        for part in model.anatomy.key_value_parameters(layer):
            if part.parameter.dim() == 2:
                outputs = 64 if model.name == "gpt2" else 32
                uniform = torch.rand(method.rank, 64, generator=generator_of(part.name, method.seed)) * 2 - 1
                factors[part.name] = (torch.zeros(outputs, method.rank), uniform / 8)
    return factors


def changed(model: Model, places: dict[str, tuple[str, int]], factors: Factors) -> dict[str, Tensor]:
    """Parameters with BA added."""
    parameters = {name: parameter.detach() for name, parameter in model.network.named_parameters()}
    for slice_name, (b, a) in factors.items():
        name, column = places[slice_name]
        change = b @ a
        if model.name == "gpt2":
            rest = 192 - column - 64
            change = torch.cat([torch.zeros(64, column), change.T, torch.zeros(64, rest)], dim=1)
        parameters[name] = parameters[name] + change
    return parameters


def trained_plainly(
    model: Model, sequences: list[TrainingSequence], method: LowRankAdaptation, optimizer: Any
) -> dict[str, Tensor]:
    places, factors = key_and_value_places(model.name), first_factors(model, method)
    leaves = [tensor.requires_grad_() for pair in factors.values() for tensor in pair]
    steps = optimizer(leaves)
    for sequence in sequences:
        steps.zero_grad()
        ids = torch.tensor([sequence.tokens])
        output: Any = functional_call(
            model.network, changed(model, places, factors), kwargs={"input_ids": ids, "use_cache": False}
        )
        plain_loss(output.logits[0], sequence).backward()
        steps.step()
    return {name: tensor.detach() for name, tensor in changed(model, places, factors).items()}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_are_autograds_over_the_factors(kind: str, optimizer: Any, random_model: MakeModel) -> None:
    model, sequences = random_model(kind), demonstrations(7, 5, 6)
    rate = 0.5 if optimizer == "sgd" else 0.01
    method = LowRankAdaptation(learning_rate=rate, rank=2, optimizer=optimizer)
    plain = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    expected = trained_plainly(model, sequences, method, lambda leaves: plain(leaves, lr=rate))
    before, bits_before = dict(model.network.state_dict()), bits(model.network)
    before = {name: tensor.clone() for name, tensor in before.items()}
    with fine_tuned(model, sequences, method) as tuned:
        moved = 0
        for name, parameter in tuned.network.named_parameters():
            change, of_plain = parameter - before[name], expected[name] - before[name]
            torch.testing.assert_close(change, of_plain, rtol=1e-3, atol=1e-5 * float(of_plain.abs().max() + 1))
            moved += bool(change.any())
    assert moved == (6 if kind == "llama" else 3)  # no bias
    assert_as_before(model.network, bits_before)


def test_a_first_step_is_the_gradient_seen_through_a(random_model: MakeModel) -> None:
    """ΔW = −η G AᵀA: B begins as zero, so A does not move yet. Its rank is that of A."""
    model, (sequence,) = random_model("llama"), demonstrations(8)
    method = LowRankAdaptation(learning_rate=0.3, rank=3)
    key = model.network.model.layers[1].self_attn.k_proj.weight
    before = key.detach().clone()
    key.requires_grad_(True)
    output = model.network(input_ids=torch.tensor([sequence.tokens]))
    (gradient,) = torch.autograd.grad(plain_loss(output.logits[0], sequence), [key])
    key.requires_grad_(False)
    _, a = first_factors(model, method)["1.key.weight"]
    with fine_tuned(model, [sequence], method):
        change = key.detach() - before
    torch.testing.assert_close(change, -0.3 * gradient @ a.T @ a, rtol=1e-3, atol=1e-5)
    singular = torch.linalg.svdvals(change.double())
    assert singular[2] > 1e-3 * singular[0] and singular[3] < 1e-5 * singular[0]


def test_jobs_of_several_rates_are_trained_one_by_one_as_alone(random_model: MakeModel) -> None:
    """They are no jobs of GD, which lockstep would train as such."""
    model, sequences = random_model("llama"), demonstrations(5, 6)
    jobs = [FineTuningJob(sequences, LowRankAdaptation(learning_rate=rate)) for rate in (0.1, 0.2)]
    with fine_tuned_together(model, jobs) as together:
        for job, result in zip(jobs, together, strict=True):
            assert result.notes == ("trained one by one: LoRA has steps of its own",)
            with result.loaded() as tuned:
                value = tuned.network.model.layers[0].self_attn.v_proj.weight.clone()
            with fine_tuned(model, sequences, job.method) as tuned:
                assert torch.equal(tuned.network.model.layers[0].self_attn.v_proj.weight, value)


def test_a_fraction_of_the_entries_has_no_low_rank(random_model: MakeModel) -> None:
    method = LowRankAdaptation(learning_rate=0.1, parameters=ParameterSubset(fraction=0.5))
    with (
        pytest.raises(UserError, match=r"LoRA of a fraction.*Leave fraction"),
        fine_tuned(random_model("llama"), demonstrations(5, 5), method),
    ):
        pass
