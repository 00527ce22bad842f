"""GD and its relatives, against torch's own optimizers on the network's own loss."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences
from torch import Tensor

from demograd.learn import GradientDescent, ParameterSubset, fine_tuned
from demograd.learn.step import laid_out_as
from demograd.tasks.prompts import TrainingSequence

Find = Callable[[Any], dict[str, Tensor]]

KINDS = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "opt",
    "gpt2",
    "gpt_neox",
    "xglm",
    "bart",
    "granite",
    "cohere",
    "olmo2",
    "gptj",
    "gpt_neo",
    "bloom",
    "falcon",
    "falcon grouped",
    "falcon alibi",
]


def own_loss(network: Any, batch: list[TrainingSequence]) -> Tensor:
    """The loss that the Hugging Face network computes itself, averaged over demonstrations."""
    losses = []
    for sequence in batch:
        tokens = torch.tensor(sequence.tokens)
        labels = torch.where(torch.tensor(sequence.loss_mask), tokens, -100)
        if network.config.model_type == "bart":  # alone among these, it does not shift the labels itself
            labels = torch.cat([labels[1:], torch.tensor([-100])])
        losses.append(network(input_ids=tokens[None], labels=labels[None], use_cache=False).loss)
    return torch.stack(losses).mean()


def trained_by_torch(
    network: Any,
    batches: list[list[TrainingSequence]],
    masks: dict[str, Tensor],
    optimizer: Callable[..., Any],
    clip: float = float("inf"),
) -> tuple[dict[str, Tensor], list[float], list[dict[str, Tensor]]]:
    """The trained parameters, the loss before each step, and each step's gradients."""
    network = copy.deepcopy(network)
    parameters = dict(network.named_parameters())
    for name in masks:
        parameters[name].requires_grad_(True)
    steps = optimizer([parameters[name] for name in masks])
    losses, gradients = [], []
    for batch in batches:
        steps.zero_grad()
        loss = own_loss(network, batch)
        loss.backward()
        for name, mask in masks.items():
            parameters[name].grad.mul_(mask)
        losses.append(loss.item())
        gradients.append({name: parameters[name].grad.clone() for name in masks})
        torch.nn.utils.clip_grad_norm_([parameters[name] for name in masks], clip)
        steps.step()
    return {name: parameter.detach() for name, parameter in parameters.items()}, losses, gradients


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_torchs_own_on_the_networks_own_loss(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    """Weights, losses and gradient norms agree; all but keys and values stay, queries in fused matrices too."""
    model, sequences = random_model(kind), random_sequences(12, 7, 9)
    masks = keys_and_values(model.network)
    before = {name: parameter.clone() for name, parameter in model.network.named_parameters()}
    expected, losses, gradients = trained_by_torch(
        model.network,
        [[sequence] for sequence in sequences],
        masks,
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    )
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            mask = masks.get(name, torch.zeros(parameter.shape, dtype=torch.bool))
            assert torch.equal(parameter[~mask], before[name][~mask]), name
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=2e-6, msg=name)
            if mask.any() and ".bias" not in name:
                assert (parameter - before[name])[mask].abs().max() > 1e-5, name
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    assert tuned.gradient_norms.shape == (3, 3)
    for layer in range(3):
        own = [name for name in masks if f".{layer}." in name]
        norms = [torch.cat([step[name].flatten() for name in own]).norm().item() for step in gradients]
        assert tuned.gradient_norms[layer].tolist() == pytest.approx(norms, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({"epochs": 2}, lambda parameters: torch.optim.SGD(parameters, lr=0.01)),
        ({"momentum": 0.8, "epochs": 2}, lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.8)),
        ({"optimizer": "adam", "epochs": 2}, lambda parameters: torch.optim.Adam(parameters, lr=0.01)),
        ({"step": "batch", "epochs": 3}, lambda parameters: torch.optim.SGD(parameters, lr=0.01)),
        (
            {"step": "batch", "epochs": 3, "momentum": 0.8},
            lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.8),
        ),
    ],
    ids=["epochs", "momentum", "adam", "full batch", "full batch with momentum"],
)
def test_other_optimizers_and_batches_are_torchs_own(
    settings: dict[str, Any],
    optimizer: Any,
    random_model: MakeModel,
    random_sequences: MakeSequences,
    keys_and_values: Find,
) -> None:
    model, sequences = random_model("qwen3"), random_sequences(12, 7, 9)
    batches = [sequences] if settings.get("step") == "batch" else [[sequence] for sequence in sequences]
    expected, losses, _ = trained_by_torch(
        model.network, batches * settings["epochs"], keys_and_values(model.network), optimizer
    )
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01, **settings)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-5, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-4)


def test_a_step_by_token_learns_from_that_token_alone(
    random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    model, sequences = random_model("qwen3"), random_sequences(9, 6)
    # torch is given every beginning of a demonstration whose last token counts, with nothing but that token to learn
    batches = [
        [TrainingSequence(sequence.tokens[: place + 1], [False] * place + [True])]
        for sequence in sequences
        for place, counts in enumerate(sequence.loss_mask)
        if counts
    ]
    expected, losses, _ = trained_by_torch(
        model.network, batches, keys_and_values(model.network), lambda parameters: torch.optim.SGD(parameters, lr=0.01)
    )
    assert len(losses) == 5 + 3
    for record in (False, True):
        method = GradientDescent(learning_rate=0.01, step="token")
        with fine_tuned(model, sequences, method, record_training_queries=record) as tuned:
            for name, parameter in tuned.network.named_parameters():
                torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-5, msg=name)
        assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-4)
        assert tuned.gradient_norms.shape == (3, len(losses))


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "opt", "phi3"])
def test_all_parameters_learn_as_torch_teaches_them(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Tied embeddings learn once, with the gradients of both their uses (Gemma 2, GPT-2, OPT)."""
    model, sequences = random_model(kind), random_sequences(12, 7)
    masks = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in model.network.named_parameters()}
    expected, losses, _ = trained_by_torch(
        model.network,
        [[sequence] for sequence in sequences],
        masks,
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    )
    method = GradientDescent(learning_rate=0.01, parameters=ParameterSubset(which="all"))
    with fine_tuned(model, sequences, method) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=2e-5, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-4)


def test_clipping_is_by_the_norm_over_all_that_is_trained(
    random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    model, sequences = random_model("llama"), random_sequences(12, 7, 9)
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.0)) as still:
        norms = still.gradient_norms.square().sum(dim=0).sqrt()
    clip = norms.median().item()  # so that some steps are clipped and some are not
    masks = keys_and_values(model.network)
    expected, losses, gradients = trained_by_torch(
        model.network, [[sequence] for sequence in sequences], masks, lambda p: torch.optim.SGD(p, lr=0.01), clip
    )
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01, clip=clip)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=2e-6, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    before_clipping = [
        torch.cat([gradient.flatten() for gradient in step.values()]).norm().item() for step in gradients
    ]
    total = tuned.gradient_norms.square().sum(dim=0).sqrt().tolist()
    assert total == pytest.approx(before_clipping, rel=1e-4)
    assert min(total) < clip < max(total)


def test_only_full_batches_do_not_care_about_order(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    """Shen 2023, Theorem 1: order sensitivity tells the algorithms apart."""
    model, sequences = random_model("llama"), random_sequences(12, 7, 9, 10)

    def difference(**settings: Any) -> float:
        method = GradientDescent(learning_rate=0.01, **settings)
        weights = []
        for order in (sequences, sequences[::-1]):
            with fine_tuned(model, order, method) as tuned:
                weights.append(tuned.network.model.layers[0].self_attn.v_proj.weight.clone())
        return (weights[0] - weights[1]).norm().item()

    assert difference(step="batch") < 1e-6
    assert difference(step="batch", epochs=3) < 1e-5
    assert difference() > 1e-2


def test_every_demonstration_weighs_the_same_in_a_batch_however_long_it_is(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model, (long, short) = random_model("llama"), random_sequences(20, 4)
    losses = []
    for batch in ([long], [short], [long, short]):
        with fine_tuned(model, batch, GradientDescent(learning_rate=0.01, step="batch")) as tuned:
            losses.append(tuned.losses.item())
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-6)
    assert abs(losses[0] - losses[1]) > 0.01


def test_a_gradient_in_another_order_in_memory_is_laid_out_as_its_master() -> None:
    """Fused optimizers go through both in memory order, whatever their strides."""
    master, gradient = torch.ones(3, 2), torch.arange(6.0).reshape(2, 3).T
    laid_out = laid_out_as(master, gradient)
    assert laid_out.stride() == master.stride() != gradient.stride()
    assert torch.equal(laid_out, gradient)
    same = torch.ones(3, 2)
    assert laid_out_as(master, same) is same, "no copy where none is needed"
