"""The steps of prefix tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from demograd.learn.method import Diverged
from demograd.learn.parameters import exact_dtype, generator_of
from demograd.learn.step import Training, gradient_norm, pass_loss, whole_pass
from demograd.models import Intervention
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.observe.intervening import with_keys_before
from demograd.observe.packed import encoded_context

if TYPE_CHECKING:
    from demograd.learn.rivals.prefix import PrefixTuning

Prefix = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer `[1, key_value_heads, length, dim]`."""


def train_prefix(training: Training, method: PrefixTuning) -> None:
    """Take the steps of all epochs.

    Raises:
        Diverged: a loss, gradient or key is not finite.
    """
    prefix = _start(training, method)
    training.intervention = lambda: Intervention(
        prefix=[(key.detach().cpu().clone(), value.detach().cpu().clone()) for key, value in prefix]
    )
    leaves = [tensor for pair in prefix for tensor in pair]
    optimizer = torch.optim.Adam(leaves, lr=method.learning_rate)

    def attend(call: AttentionCall) -> Tensor:
        return causal_attention(with_keys_before(call, *prefix[call.layer]))

    for sequence in training.sequences * method.epochs:
        with attention_routed(training.anatomy, attend), torch.enable_grad():
            loss = pass_loss(training.anatomy, whole_pass(sequence))
            gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        optimizer.step()
        norms: dict[int | None, float] = {
            layer: gradient_norm([*gradients[2 * layer : 2 * layer + 2]]) for layer in range(len(prefix))
        }
        if not all(bool(leaf.isfinite().all()) for leaf in leaves):
            raise Diverged(len(training.history.losses), "a key or value of the prefix")
        training.record(loss.item(), norms)


def _start(training: Training, method: PrefixTuning) -> Prefix:
    """Copies of the first token's keys and values, which most tokens attend to anyhow, and noise that tells them
    apart."""
    first = training.sequences[0].tokens[:1]
    prefix = []
    with torch.no_grad():
        for layer, pair in enumerate(encoded_context(training.model, first)):
            generator = generator_of(f"{layer}.prefix", method.seed)
            prefix.append(tuple(_copies(tensor, method, generator) for tensor in pair))
    return [(key, value) for key, value in prefix]


def _copies(tensor: Tensor, method: PrefixTuning, generator: torch.Generator) -> Tensor:
    copies = tensor.expand(-1, -1, method.length, -1).to(exact_dtype(tensor.dtype))
    noise = torch.randn(copies.shape, generator=generator).to(copies)
    return (copies + method.noise * tensor.float().std() * noise).requires_grad_()
