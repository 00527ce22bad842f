"""The readout's loss, piece by piece over the vocabulary, is torch's cross-entropy over all of it in float64."""

import copy
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel
from torch import Tensor
from torch.nn.functional import cross_entropy

from demograd.learn import readout_loss as module
from demograd.learn.readout_loss import readout_loss
from demograd.models import Model, find_anatomy

PIECE = 20
"""The tokens of a piece: a vocabulary of 97 has four whole pieces and one of 17."""
FIRST, MIDDLE, LAST = 3, 50, 95
"""Tokens of the first, a middle and the last piece."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_AT_A_TIME", PIECE)


def exact(network: Any, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and gradient of torch, everything in float64."""
    anatomy = find_anatomy(copy.deepcopy(network).double())
    hidden = hidden.double().requires_grad_()
    losses = cross_entropy(anatomy.readout(hidden), targets, reduction="none")
    return losses.detach(), torch.autograd.grad(losses.sum(), hidden)[0]


def plain(network: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """The gradient of torch in the network's own precision."""
    hidden = hidden.clone().requires_grad_()
    return torch.autograd.grad(cross_entropy(find_anatomy(network).readout(hidden), targets, reduction="sum"), hidden)[
        0
    ]


def relative(actual: Tensor, expected: Tensor) -> float:
    """The largest error of a row, as a share of that row's norm."""
    actual, expected = (rows.double().view(len(rows), -1) for rows in (actual, expected))
    return ((actual - expected).norm(dim=1) / expected.norm(dim=1)).max().item()


def some_hidden(model: Model, rows: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows, 64, generator=generator).to(model.anatomy.unembedding.weight.dtype)


TARGETS = torch.tensor([0, FIRST, PIECE - 1, PIECE, PIECE + 1, MIDDLE, 79, 80, LAST, 96, FIRST, LAST])
"""Tokens at both ends of the vocabulary and on both sides of a border between pieces."""


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere", "granite", "gptj", "opt", "gpt2"])
@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 5e-6), (torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_pieces_of_a_vocabulary_add_up_to_the_cross_entropy_over_all_of_it(
    random_model: MakeModel, kind: str, dtype: torch.dtype, allowed: float
) -> None:
    """Readouts have a soft cap (Gemma 2), factor (Cohere), divisor (Granite), bias (GPT-J) or projection (OPT)."""
    model = random_model(kind, dtype=dtype)
    hidden = some_hidden(model)
    losses, gradient = exact(model.network, hidden, TARGETS)

    found_losses, found_gradient = readout_loss(model.anatomy, hidden.clone(), TARGETS)

    assert relative(found_losses, losses) < allowed
    assert relative(found_gradient, gradient) < allowed
    assert found_gradient.dtype == dtype


@pytest.mark.parametrize("order", ["rising", "falling"])
@pytest.mark.parametrize("largest", [12, 150])
@pytest.mark.parametrize("target", [FIRST, MIDDLE, LAST])
def test_a_larger_logit_may_turn_up_in_any_piece(
    random_model: MakeModel, order: str, largest: int, target: int
) -> None:
    """Logits go from −12 to 12 along the vocabulary, or so far apart that a piece's exponentials would overflow."""
    model = random_model("gptj")
    bias = torch.linspace(-largest, largest, 97)
    model.anatomy.unembedding.bias.data.copy_(bias if order == "rising" else bias.flip(0))
    hidden, targets = some_hidden(model, 4), torch.full((4,), target)
    losses, gradient = exact(model.network, hidden, targets)

    found_losses, found_gradient = readout_loss(model.anatomy, hidden.clone(), targets)

    assert relative(found_losses, losses) < 1e-5
    assert relative(found_gradient, gradient) < 1e-5


@pytest.mark.parametrize("target", [FIRST, LAST])
@pytest.mark.parametrize("lead", [10.0, 16.0, 25.0])
def test_where_the_target_is_nearly_certain_the_small_gradient_is_exact(
    random_model: MakeModel, target: int, lead: float
) -> None:
    """At a lead of 25 nats p(target) rounds to 1: plain cross-entropy's gradient in float32 is then all rounding."""
    model = random_model("gptj")
    model.anatomy.unembedding.bias.data[target] += lead
    hidden, targets = some_hidden(model, 4), torch.full((4,), target)
    losses, gradient = exact(model.network, hidden, targets)

    found_losses, found_gradient = readout_loss(model.anatomy, hidden.clone(), targets)

    assert relative(found_losses, losses) < 1e-5
    assert relative(found_gradient, gradient) < 1e-5


@pytest.mark.parametrize("dtype, allowed", [(torch.bfloat16, 0.1), (torch.float16, 0.01)])
@pytest.mark.parametrize("lead", [0.0, 4.0, 10.0])
def test_in_16_bit_the_gradient_is_exact_where_plain_cross_entropy_has_none_left(
    random_model: MakeModel, dtype: torch.dtype, allowed: float, lead: float
) -> None:
    """The gradient is exact up to the rounding of the logits; at a lead of 10 nats torch's is wrong by 18 to 100 %."""
    model = random_model("gptj", dtype=dtype)
    model.anatomy.unembedding.bias.data[MIDDLE] += lead
    hidden, targets = some_hidden(model), torch.full((12,), MIDDLE)
    losses, gradient = exact(model.network, hidden, targets)

    found_losses, found_gradient = readout_loss(model.anatomy, hidden.clone(), targets)

    assert relative(found_losses, losses) < allowed
    assert relative(found_gradient, gradient) < allowed
    assert relative(found_gradient, gradient) < 1.2 * relative(plain(model.network, hidden, targets), gradient)


def test_what_is_not_finite_makes_the_loss_not_finite(random_model: MakeModel) -> None:
    model = random_model("llama")
    hidden = some_hidden(model, 2)
    hidden[0, 0] = torch.nan

    losses, gradient = readout_loss(model.anatomy, hidden, torch.tensor([FIRST, FIRST]))

    assert losses.isnan().tolist() == [True, False]
    assert gradient[0].isnan().all() and gradient[1].isfinite().all()
