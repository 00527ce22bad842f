"""GD on the demonstrations (Dai 2023, Deutch 2024), and its relatives with other optimizers and batches (Shen 2023)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from demograd.learn.methods import GradientDescent
from demograd.learn.passes import TrainingPass, by_token, whole
from demograd.learn.trained import TrainedLayer
from demograd.learn.training_queries import TrainingQueries
from demograd.learn.update import History, apply_gradients, check_weights, clipping, gradient_norm, make_optimizer
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import attention_routed
from demograd.tasks.prompts import TrainingSequence


def gradient_descent(
    anatomy: Anatomy,
    layers: list[TrainedLayer],
    sequences: list[TrainingSequence],
    method: GradientDescent,
    on_step: Callable[[int], None],
    queries: TrainingQueries | None = None,
) -> History:
    """Take the method's steps; `on_step` is told how many are done, and `queries` keeps the query vectors on the way.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    history = History(len(anatomy.blocks))
    optimizers = [make_optimizer(layer, method) for layer in layers]
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    attend = causal_attention if queries is None else queries.watch(causal_attention)
    with attention_routed(anatomy, attend):
        for batch in _batches(sequences, method, queries is not None) * method.epochs:
            if not len(batch[0].rows):  # it runs for its tokens' query vectors
                hidden_states(anatomy, batch[0])
                continue
            loss, gradients = loss_and_gradients(anatomy, batch, parameters)
            rest = iter(gradients)
            of_layers = [layer.gradients(tuple(next(rest) for _ in layer.parameters)) for layer in layers]
            norms = [gradient_norm(of_layer) for of_layer in of_layers]
            scale = clipping(math.hypot(*norms), method.clip)
            for layer, optimizer, of_layer in zip(layers, optimizers, of_layers, strict=True):
                apply_gradients(layer, optimizer, of_layer, scale)
            history.add(loss, {layer.number: norm for layer, norm in zip(layers, norms, strict=True)})
            check_weights(layers, len(history.losses) - 1)
            on_step(len(history.losses))
    return history


def _batches(sequences: list[TrainingSequence], method: GradientDescent, recording: bool) -> list[list[TrainingPass]]:
    """What each step learns from, and where query vectors are recorded, the passes that only run."""
    if method.step == "token":
        passes = [one for sequence in sequences for one in by_token(sequence, to_the_end=recording)]
        return [[one] for one in passes if recording or len(one.rows)]
    passes = [whole(sequence) for sequence in sequences]
    return [passes] if method.step == "batch" else [[one] for one in passes]


def loss_and_gradients(
    anatomy: Anatomy, batch: list[TrainingPass], parameters: list[nn.Parameter]
) -> tuple[float, list[Tensor]]:
    """The mean over passes of each one's mean loss, and its gradient; one pass's graph at a time."""
    loss, gradients = 0.0, None
    for one in batch:
        of_one = mean_loss(anatomy, one) / len(batch)
        loss += of_one.item()
        # a parameter that the loss does not depend on, as BART's attention to an encoder, has gradient zero
        new = torch.autograd.grad(of_one, parameters, materialize_grads=True)
        gradients = list(new) if gradients is None else [a.add_(b) for a, b in zip(gradients, new, strict=True)]
    assert gradients is not None
    return loss, gradients


def mean_loss(anatomy: Anatomy, one: TrainingPass) -> Tensor:
    """Next-token cross-entropy, averaged over the tokens that count; logits are computed at those only."""
    hidden = hidden_states(anatomy, one)
    logits = anatomy.unembed(hidden[one.rows.to(hidden.device)]).float()
    return cross_entropy(logits, one.targets.to(logits.device))


def hidden_states(anatomy: Anatomy, one: TrainingPass) -> Tensor:
    """After the final norm, of every token `[tokens, hidden]`."""
    ids = torch.tensor([one.tokens], device=anatomy.device)
    return anatomy.decoder(input_ids=ids, use_cache=False).last_hidden_state[0]
