"""GD on the demonstrations (Dai 2023, Deutch 2024), and its relatives with other optimizers and batches (Shen 2023)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from demograd.learn.methods import GradientDescent
from demograd.learn.trained import TrainedLayer
from demograd.learn.update import History, apply_gradients, check_weights, make_optimizer
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.routing import attention_routed
from demograd.tasks.prompts import TrainingSequence


def gradient_descent(
    anatomy: Anatomy,
    layers: list[TrainedLayer],
    sequences: list[TrainingSequence],
    method: GradientDescent,
    on_step: Callable[[int], None],
) -> History:
    """Take the method's steps; `on_step` is told how many are done.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    history = History(len(layers))
    optimizers = [make_optimizer(layer, method) for layer in layers]
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    batches = [sequences] if method.step == "batch" else [[sequence] for sequence in sequences]
    for _ in range(method.epochs):
        for batch in batches:
            loss, gradients = loss_and_gradients(anatomy, batch, parameters)
            norms, rest = [], iter(gradients)
            for layer, optimizer in zip(layers, optimizers, strict=True):
                own = tuple(next(rest) for _ in layer.parameters)
                norms.append(apply_gradients(layer, optimizer, layer.gradients(own)))
            history.add(loss, norms)
            check_weights(layers, len(history.losses) - 1)
            on_step(len(history.losses))
    return history


def loss_and_gradients(
    anatomy: Anatomy, batch: list[TrainingSequence], parameters: list[nn.Parameter]
) -> tuple[float, list[Tensor]]:
    """The mean over demonstrations of each one's mean loss, and its gradient; one demonstration's graph at a time."""
    loss, gradients = 0.0, None
    for sequence in batch:
        of_sequence = mean_loss(anatomy, sequence) / len(batch)
        loss += of_sequence.item()
        new = torch.autograd.grad(of_sequence, parameters)
        gradients = list(new) if gradients is None else [a.add_(b) for a, b in zip(gradients, new, strict=True)]
    assert gradients is not None
    return loss, gradients


def mean_loss(anatomy: Anatomy, sequence: TrainingSequence) -> Tensor:
    """Next-token cross-entropy, averaged over the tokens that count; logits are computed at those only."""
    ids = torch.tensor([sequence.tokens], device=anatomy.device)
    with attention_routed(anatomy, causal_attention):
        hidden = anatomy.decoder(input_ids=ids, use_cache=False).last_hidden_state[0]
    rows, targets = predictions(sequence)
    logits = anatomy.unembed(hidden[rows.to(hidden.device)]).float()
    return cross_entropy(logits, targets.to(logits.device))


def predictions(sequence: TrainingSequence) -> tuple[Tensor, Tensor]:
    """The rows whose next token counts, and those next tokens."""
    counted = torch.tensor(sequence.loss_mask).nonzero().squeeze(1)
    return counted - 1, torch.tensor(sequence.tokens)[counted]
