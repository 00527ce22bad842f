"""The steps of LoRA: factors of the changes, trained by the gradients of the matrices that they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from demograd.learn.parameters import TrainedParameter, generator_of
from demograd.learn.step import Training, clipping, gradient_norm

if TYPE_CHECKING:
    from demograd.learn.rivals.lora import LowRankAdaptation


class Factors:
    """B `[outputs, rank]` and A `[rank, inputs]` of one matrix, whatever the order in which the network keeps it."""

    def __init__(self, trained: TrainedParameter, method: LowRankAdaptation, *, outputs_last: bool) -> None:
        self.trained, self.outputs_last = trained, outputs_last
        outputs, inputs = self._turned(trained.original).shape
        uniform = torch.rand(method.rank, inputs, generator=generator_of(trained.slice.name, method.seed)) * 2 - 1
        self.a = (uniform.to(trained.master) * method.bound(inputs)).requires_grad_()
        self.b = torch.zeros(outputs, method.rank).to(trained.master).requires_grad_()

    def _turned(self, matrix: Tensor) -> Tensor:
        return matrix.T if self.outputs_last else matrix

    def gradients(self, of_matrix: Tensor) -> list[Tensor]:
        """Of A and B, from the gradient of W + BA."""
        gradient = self._turned(of_matrix)
        return [self.b.detach().T @ gradient, gradient @ self.a.detach().T]

    @torch.no_grad()
    def write(self) -> None:
        """Put W + BA into the network."""
        self.trained.master.copy_(self.trained.original + self._turned(self.b @ self.a))
        self.trained.write()


def train_low_rank(training: Training, method: LowRankAdaptation) -> None:
    """Take the steps of all epochs.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    layers = [_factors_of(training, layer, method) for layer in range(len(training.layers))]
    leaves = [leaf for layer in layers for factors in layer for leaf in (factors.a, factors.b)]
    if method.optimizer == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(leaves, lr=method.learning_rate)
    else:
        optimizer = torch.optim.SGD(leaves, lr=method.learning_rate, momentum=method.momentum)
    for batch in training.batches(method.step, method.epochs):
        loss, of_layers = training.loss_and_gradients(batch)
        gradients = [
            [factors.gradients(gradient) for factors, gradient in zip(layer, _matrices(of_layer), strict=True)]
            for layer, of_layer in zip(layers, of_layers, strict=True)
        ]
        norms = [gradient_norm([part for pair in layer for part in pair]) for layer in gradients]
        scale = clipping(float(torch.tensor(norms).norm()), method.clip)
        flat = [part * scale for layer in gradients for pair in layer for part in pair]
        for leaf, gradient in zip(leaves, flat, strict=True):
            leaf.grad = gradient
        optimizer.step()
        for layer in layers:
            for factors in layer:
                factors.write()
        training.record(loss, {layer.number: norm for layer, norm in zip(training.layers, norms, strict=True)})


def _factors_of(training: Training, layer: int, method: LowRankAdaptation) -> list[Factors]:
    outputs_last = training.anatomy.architecture.fused_output_dim == 1
    return [
        Factors(trained, method, outputs_last=outputs_last)
        for trained in training.layers[layer].trained
        if trained.original.dim() == 2
    ]


def _matrices(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.dim() == 2]
