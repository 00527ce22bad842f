"""GD and LCGD as the papers write them, in a few lines each: what the fast ones are held against by the tests.

Text and released code of LCGD differ: Deutch 2024 §4.4 has one update per token, on that token's loss, not divided by
the number of tokens; the released runs have one per demonstration, on the mean over its counted tokens. `step` says
which.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

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
LayerInput = tuple[Float[Tensor, "1 tokens hidden"], tuple[Any, ...], dict[str, Any]]
"""h_{l−1} of a block l, and what else the network hands to it: masks and positions."""
stop = Tensor.detach
"""No gradient crosses it."""


def gradient_descent(
    network: nn.Module, trained: Sequence[nn.Parameter], sequences: Sequence[TrainingSequence], learning_rate: float
) -> list[float]:
    """θ ← θ − η ∇CE(f_θ(x), e), demonstration after demonstration (Dai 2023; Deutch 2024).

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
        logits = network(input_ids=torch.tensor([sequence.tokens[:-1]]), use_cache=False).logits[0]
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
    step: Literal["demonstration", "token"] = "demonstration",
) -> list[list[float]]:
    """θ_l ← θ_l − η ∇CE(U(f_l(stop(h_{l−1}))), e) in every layer l, step after step (Deutch 2024 §4).

    Args:
        network: a Hugging Face language model; its trained parameters are changed in place.
        blocks: its blocks; h_{l−1} is the input of block l.
        unembed: U, which is frozen.
        trained: θ_l of each layer, which require gradients.
        sequences: the demonstrations, in order.
        learning_rate: η.
        layers: f_l of each layer; None: the blocks themselves, as in the paper's released runs. Its formula reads the
            attention output: `output_of` a block's attention.
        step: an update per demonstration, on its mean loss over counted tokens (the released runs), or per counted
            token, on its loss alone, for which block inputs of earlier tokens stay as computed (§4.4).

    Returns:
        The loss of each layer before each step, in nats per counted token `[steps][layers]`.
    """
    losses = []
    for sequence in sequences:
        inputs: list[LayerInput] = []
        for part in [sequence] if step == "demonstration" else by_token(sequence):
            inputs = layer_inputs(network, blocks, part, earlier=[stop(h) for h, *_ in inputs])
            of_layers = readout_losses(inputs, layers or blocks, unembed, part)
            for parameters, loss in zip(trained, of_layers, strict=True):
                descend(parameters, loss, learning_rate)
            losses.append([loss.item() for loss in of_layers])
    return losses


def by_token(sequence: TrainingSequence) -> list[TrainingSequence]:
    """The beginnings of a demonstration that end with a counted token, each with that token alone to learn."""
    places = [place for place, is_counted in enumerate(sequence.loss_mask) if is_counted]
    return [TrainingSequence(sequence.tokens[: place + 1], [False] * place + [True]) for place in places]


def layer_causal_losses(
    network: nn.Module,
    blocks: Sequence[nn.Module],
    unembed: Unembedding,
    sequence: TrainingSequence,
    layers: Sequence[Layer] | None = None,
) -> list[Float[Tensor, ""]]:
    """CE(U(f_l(stop(h_{l−1}))), e) of every layer l; arguments as in `layer_causal_gradient_descent`."""
    return readout_losses(layer_inputs(network, blocks, sequence), layers or blocks, unembed, sequence)


def readout_losses(
    inputs: Sequence[LayerInput], layers: Sequence[Layer], unembed: Unembedding, sequence: TrainingSequence
) -> list[Float[Tensor, ""]]:
    """CE(U(f_l(stop(h_{l−1}))), e) of every layer l, from what the network hands to its block."""
    losses = []
    for f, (h, arguments, options) in zip(layers, inputs, strict=True):
        read = _first(f(stop(h), *arguments, **options))[0]
        losses.append(next_token_loss(unembed(read), sequence))
    return losses


def layer_inputs(
    network: nn.Module, blocks: Sequence[nn.Module], sequence: TrainingSequence, earlier: Sequence[Tensor] = ()
) -> list[LayerInput]:
    """What each block is handed; its h_{l−1} of the first tokens is the `earlier` one, where there is one.

    The last token is not run: its own h is needed only where another follows.
    """
    inputs: list[LayerInput] = []

    def record(block: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        h = arguments[0]
        if earlier:
            before = earlier[len(inputs)]
            h = torch.cat([before, h[:, before.shape[1] :]], dim=1)
        inputs.append((h, arguments[1:], options))
        return (h, *arguments[1:]), options

    handles = [block.register_forward_pre_hook(record, with_kwargs=True) for block in blocks]
    network(input_ids=torch.tensor([sequence.tokens[:-1]]), use_cache=False)
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


def next_token_loss(logits: Float[Tensor, "places vocabulary"], sequence: TrainingSequence) -> Float[Tensor, ""]:
    """CE(·, e): the mean over the tokens that count, each predicted at the token before it, in nats."""
    counted = torch.tensor(sequence.loss_mask[1:])
    return cross_entropy(logits[counted], torch.tensor(sequence.tokens[1:])[counted])


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
