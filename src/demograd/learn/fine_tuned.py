"""Fine-tune a model on demonstrations for the length of a `with` block."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.learn.gradient_descent import gradient_descent
from demograd.learn.layer_causal import layer_causal_gradient_descent
from demograd.learn.methods import GradientDescent, Method
from demograd.learn.trained import gradients_enabled, trained_layers
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence


@dataclass(frozen=True, eq=False, kw_only=True)
class TunedModel(Model):
    """A model whose key and value projections were changed; usable wherever a model is, inside its `with` block."""

    method: Method
    losses: Float[Tensor, " steps"] = field(repr=False)
    """Mean loss per counted token before each step (LCGD: summed over layers)."""
    gradient_norms: Float[Tensor, "layers steps"] = field(repr=False)
    """‖∇‖₂ of a layer's trained parameters at each step (Deutch 2024, Appendix C)."""


@contextmanager
def fine_tuned(
    model: Model,
    sequences: Sequence[TrainingSequence],
    method: Method,
    *,
    on_step: Callable[[int], None] = lambda done: None,
) -> Iterator[TunedModel]:
    """Train the key and value projections of every attention layer; afterwards every weight is put back bit for bit.

    Trained parameters keep float32 masters, whatever the model computes in. The loss is not scaled: in float16,
    gradients below 6e-8 vanish on their way.

    Args:
        model: is changed in place inside the block.
        sequences: the demonstrations, in order.
        method: what to do with them.
        on_step: told the number of optimizer steps done.

    Raises:
        Diverged: a loss, gradient or weight is not finite; the weights are put back first.
        ValueError: there is no sequence.
        UserError: the method does not suit the network.
    """
    if not sequences:
        raise ValueError("no sequences to train on")
    method.check(model.anatomy)
    with trained_layers(model.anatomy) as layers:
        with gradients_enabled(layers):
            train = gradient_descent if isinstance(method, GradientDescent) else layer_causal_gradient_descent
            history = train(model.anatomy, layers, list(sequences), method, on_step)  # type: ignore[arg-type]
        same = {one.name: getattr(model, one.name) for one in fields(Model)}
        norms = torch.tensor(history.gradient_norms).T
        yield TunedModel(**same, method=method, losses=torch.tensor(history.losses), gradient_norms=norms)
