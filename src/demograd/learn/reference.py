"""GD and LCGD as the papers write them, in a few lines each: what the fast ones are held against by the tests."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from demograd.tasks.prompts import TrainingSequence

Layer = Callable[..., Any]
"""f_l: takes what the network hands to a block, hidden states `[1, tokens, hidden]` first; returns what U reads, alone
or first of several."""
Unembedding = Callable[[Float[Tensor, "rows hidden"]], Float[Tensor, "rows vocabulary"]]
"""U: hidden states to logits, by the final norm and the unembedding."""
stop = Tensor.detach
"""No gradient crosses it."""


def gradient_descent(
    network: nn.Module, trained: Sequence[nn.Parameter], sequences: Sequence[TrainingSequence], learning_rate: float
) -> list[float]:
    """θ ← θ − η ∇CE(f_θ(x), e), demonstration after demonstration (Dai 2023 §3.3; Deutch 2024 §3).

    Args:
        network: a Hugging Face language model; its trained parameters are changed in place.
        trained: θ, which require gradients.
        sequences: the demonstrations, in order.
        learning_rate: η.

    Returns:
        The loss before each step, in nats per counted token.
    """
    losses = []
    for sequence in sequences:
        logits = network(input_ids=torch.tensor([sequence.tokens]), use_cache=False).logits[0]
        loss = next_token_loss(logits, sequence)
        descend(trained, loss, learning_rate)
        losses.append(loss.item())
    return losses


def layer_causal_gradient_descent(
    network: nn.Module,
    blocks: Sequence[nn.Module],
    unembed: Unembedding,
    trained: Sequence[Sequence[nn.Parameter]],
    sequences: Sequence[TrainingSequence],
    learning_rate: float,
    layers: Sequence[Layer] | None = None,
) -> list[list[float]]:
    """θ_l ← θ_l − η ∇CE(U(f_l(stop(h_{l−1}))), e) in every layer l, demonstration after demonstration (Deutch 2024 §4).

    Args:
        network: a Hugging Face language model; its trained parameters are changed in place.
        blocks: its blocks; h_{l−1} is the input of block l.
        unembed: U, which is frozen.
        trained: θ_l of each layer, which require gradients.
        sequences: the demonstrations, in order.
        learning_rate: η.
        layers: f_l of each layer; None: the blocks themselves, as in the paper's released runs. Its formula reads the
            attention output: `output_of` a block's attention.

    Returns:
        The loss of each layer before each step, in nats per counted token `[steps][layers]`.
    """
    losses = []
    for sequence in sequences:
        of_layers = layer_causal_losses(network, blocks, unembed, sequence, layers)
        for parameters, loss in zip(trained, of_layers, strict=True):
            descend(parameters, loss, learning_rate)
        losses.append([loss.item() for loss in of_layers])
    return losses


def layer_causal_losses(
    network: nn.Module,
    blocks: Sequence[nn.Module],
    unembed: Unembedding,
    sequence: TrainingSequence,
    layers: Sequence[Layer] | None = None,
) -> list[Float[Tensor, ""]]:
    """CE(U(f_l(stop(h_{l−1}))), e) of every layer l; arguments as in `layer_causal_gradient_descent`."""
    losses = []
    for f, (h, arguments, options) in zip(layers or blocks, layer_inputs(network, blocks, sequence), strict=True):
        read = _first(f(stop(h), *arguments, **options))[0]
        losses.append(next_token_loss(unembed(read), sequence))
    return losses


def layer_inputs(
    network: nn.Module, blocks: Sequence[nn.Module], sequence: TrainingSequence
) -> list[tuple[Tensor, tuple[Any, ...], dict[str, Any]]]:
    """h_{l−1} `[1, tokens, hidden]` of each block l, and what else the network hands to it: masks and positions."""
    inputs = []

    def record(block: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        inputs.append((arguments[0], arguments[1:], options))

    handles = [block.register_forward_pre_hook(record, with_kwargs=True) for block in blocks]
    network(input_ids=torch.tensor([sequence.tokens]), use_cache=False)
    for handle in handles:
        handle.remove()
    return inputs


def output_of(module: nn.Module, block: nn.Module) -> Layer:
    """f_l as the output of a module inside the block, such as its attention."""

    def layer(*arguments: Any, **options: Any) -> Tensor:
        outputs: list[Tensor] = []
        handle = module.register_forward_hook(lambda module, inputs, output: outputs.append(_first(output)))
        block(*arguments, **options)
        handle.remove()
        return outputs[0]

    return layer


def next_token_loss(logits: Float[Tensor, "tokens vocabulary"], sequence: TrainingSequence) -> Float[Tensor, ""]:
    """CE(·, e): the mean over the tokens that count, each predicted at the token before it, in nats."""
    counted = torch.tensor(sequence.loss_mask[1:])
    return cross_entropy(logits[:-1][counted], torch.tensor(sequence.tokens[1:])[counted])


def descend(parameters: Sequence[nn.Parameter], loss: Float[Tensor, ""], learning_rate: float) -> None:
    """θ ← θ − η ∇loss."""
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(learning_rate * gradient)


def _first(output: Any) -> Tensor:
    """The hidden states of an output: some blocks and attentions return more beside them."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first
