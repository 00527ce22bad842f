"""One optimizer step on some layers, with what is recorded of it."""

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
    """Mean loss per counted token before each step (LCGD: summed over layers)."""
    gradient_norms: list[list[float]] = field(default_factory=list)
    """Per step and layer: ‖∇‖₂ of the layer's trained parameters."""

    def add(self, loss: float, norms: list[float]) -> None:
        """Record one step.

        Raises:
            Diverged: the loss or a gradient is not finite.
        """
        step = len(self.losses)
        self.losses.append(loss)
        self.gradient_norms.append(norms)
        for what, values in (("the loss", [loss]), ("a gradient", norms)):
            if not torch.tensor(values).isfinite().all():
                raise Diverged(step, what)


def make_optimizer(layer: TrainedLayer, method: Method) -> torch.optim.Optimizer:
    """An optimizer of a layer's masters: layers are stepped one by one, so that LCGD need not keep gradients."""
    masters = [one.master for one in layer.trained]
    if getattr(method, "optimizer", "sgd") == "adam":
        return torch.optim.Adam(masters, lr=method.learning_rate)
    return torch.optim.SGD(masters, lr=method.learning_rate, momentum=getattr(method, "momentum", 0.0))


@torch.no_grad()
def apply_gradients(layer: TrainedLayer, optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> float:
    """Step the masters, round them into the network, and return ‖∇‖₂."""
    for one, gradient in zip(layer.trained, gradients, strict=True):
        one.master.grad = gradient
    optimizer.step()
    optimizer.zero_grad()
    for one in layer.trained:
        one.write()
    return get_total_norm(gradients).item()


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
