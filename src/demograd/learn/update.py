"""One optimizer step on some layers, with what is recorded of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from demograd.learn.methods import Diverged, Method
from demograd.learn.trained import TrainedLayer


@dataclass(eq=False)
class History:
    """What fine-tuning did, step by step."""

    layers: int
    losses: list[float] = field(default_factory=list)
    """Mean loss per counted token before each step (LCGD: summed over the trained layers)."""
    gradient_norms: list[list[float]] = field(default_factory=list)
    """Per step and layer: ‖∇‖₂ of the layer's trained parameters, before clipping; NaN where none is trained."""

    def add(self, loss: float, norms: Mapping[int | None, float]) -> None:
        """Record one step: its loss, and the gradient norm of each trained layer by number (None: outside all layers).

        Raises:
            Diverged: the loss or a gradient is not finite.
        """
        step = len(self.losses)
        self.losses.append(loss)
        self.gradient_norms.append([norms.get(layer, math.nan) for layer in range(self.layers)])
        for what, values in (("the loss", [loss]), ("a gradient", norms.values())):
            if not all(map(math.isfinite, values)):
                raise Diverged(step, what)


def make_optimizer(layer: TrainedLayer, method: Method) -> torch.optim.Optimizer:
    """An optimizer of a layer's masters: layers are stepped one by one, so that LCGD need not keep gradients."""
    masters = [one.master for one in layer.trained]
    if method.optimizer == "adam":
        return torch.optim.Adam(masters, lr=method.learning_rate)
    return torch.optim.SGD(masters, lr=method.learning_rate, momentum=method.momentum)


def gradient_norm(gradients: list[Tensor]) -> float:
    """‖∇‖₂ over all of them."""
    return get_total_norm(gradients).item()


def clipping(norm: float, clip: float | None) -> float:
    """What to multiply gradients of this total norm by, so that it is at most `clip`."""
    return 1.0 if clip is None or norm <= clip else clip / norm


@torch.no_grad()
def apply_gradients(
    layer: TrainedLayer, optimizer: torch.optim.Optimizer, gradients: list[Tensor], scale: float = 1.0
) -> None:
    """Step the masters along the gradients times `scale`, and round them into the network."""
    for one, gradient in zip(layer.trained, gradients, strict=True):
        one.master.grad = gradient if scale == 1 else gradient * scale
    optimizer.step()
    optimizer.zero_grad()
    for one in layer.trained:
        one.write()


def check_weights(layers: list[TrainedLayer], step: int) -> None:
    """
    Raises:
        Diverged: a trained weight is not finite after this step.
    """
    # in the network's own dtype: a float32 master may be finite where its 16-bit copy is not
    for parameter in (parameter for layer in layers for parameter in layer.parameters):
        lowest, highest = torch.aminmax(parameter.detach())  # one pass and no copy; not a number comes through
        if not (lowest.isfinite() and highest.isfinite()):
            raise Diverged(step, "a weight")
