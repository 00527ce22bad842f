"""Fine-tune a model on demonstrations for the length of a `with` block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.errors import UserError
from demograd.learn.fine_tuning import FineTuning
from demograd.learn.key_biases import unnoticed_key_biases
from demograd.learn.method import Method
from demograd.learn.parameters import change_of, restore, trained_layers
from demograd.learn.step import History, Training
from demograd.learn.training_queries import TrainingQueries
from demograd.models import Intervention, Model
from demograd.observe import check_rotary
from demograd.tasks.prompts import TrainingSequence


@dataclass(frozen=True, eq=False, kw_only=True)
class TunedModel(Model):
    """A model that was fine-tuned; usable wherever a model is, inside its `with` block."""

    method: Method
    losses: Float[Tensor, " steps"] = field(repr=False)
    """Mean loss per counted token before each step (LCGD: summed over the trained layers)."""
    gradient_norms: Float[Tensor, "layers steps"] = field(repr=False)
    """‖∇‖₂ of a layer's trained parameters at each step, before clipping (Deutch 2024, Appendix C); NaN where none of a
    layer is trained."""
    training_queries: list[Float[Tensor, "_tokens layers width"]] | None = field(default=None, repr=False)
    """On request, per demonstration: the query vectors of its tokens, each taken before its step's update; scaled,
    heads concatenated (width = heads × head_dim), before rotary positions (Dai 2023)."""


@contextmanager
def fine_tuned(
    model: Model,
    sequences: Sequence[TrainingSequence],
    method: Method,
    *,
    record_training_queries: bool = False,
    on_step: Callable[[int], None] = lambda steps: None,
) -> Iterator[TunedModel]:
    """Train the method's parameters on the sequences; afterwards every weight is put back bit for bit.

    Trained parameters keep float32 masters, whatever the model computes in. The loss is not scaled: in float16,
    gradients below 6e-8 vanish on their way. Where the method is linearised, the weights are put back before anything
    is observed, and the model that is yielded carries their change instead.

    Args:
        model: is changed in place inside the block.
        sequences: the demonstrations, in order.
        method: what to do with them.
        record_training_queries: keep the query vectors of the training tokens.
        on_step: is called with the number of optimizer steps so far.

    Raises:
        Diverged: a loss, gradient or weight is not finite; the weights are put back first.
        ValueError: there is no sequence, or the model is itself linearised, so its change is not in its weights.
        UserError: the method does not suit the network or the sequences, or query vectors before rotary positions
            cannot be had.
    """
    with prepared_training(
        model, sequences, method, on_step, record_training_queries=record_training_queries
    ) as training:
        training.run()
        change = None
        if isinstance(method, FineTuning) and method.linearised:
            change = change_of(model.anatomy, training.layers)
            restore(training.layers)
        yield tuned_model(
            model,
            method,
            training.history,
            change=change,
            intervention=training.intervention and training.intervention(),
            queries=training.training_queries,
            notes=training.notes,
        )


@contextmanager
def prepared_training(
    model: Model,
    sequences: Sequence[TrainingSequence],
    method: Method,
    on_step: Callable[[int], None],
    *,
    record_training_queries: bool,
) -> Iterator[Training]:
    """A training that is yet to run; after the block every weight is put back bit for bit. As for `fine_tuned`."""
    check_job(model, sequences, method)
    if record_training_queries:
        check_queries(model, method)
    if not isinstance(method, FineTuning):
        yield Training(model, [], sequences, method, on_step)
        return
    queries = TrainingQueries(sequences) if record_training_queries else None
    left_out = unnoticed_key_biases(model.anatomy) if method.optimizer == "adam" else {}
    outside = not method.layer_causal
    with trained_layers(model.anatomy, method.parameters, outside_layers=outside, left_out=left_out) as layers:
        yield Training(model, layers, sequences, method, on_step, queries)


def check_job(model: Model, sequences: Sequence[TrainingSequence], method: Method) -> None:
    """
    Raises:
        ValueError: there is no sequence, or what the model changes is not in its weights: it is linearised, or has an
            intervention.
        UserError: the method does not suit the network, or the sequences.
    """
    if not sequences:
        raise ValueError("no sequences to train on")
    if model.change is not None:
        raise ValueError("a linearised model cannot be trained further")
    if model.intervention is not None:
        raise ValueError("a model with an intervention cannot be trained further")
    method.check(model.anatomy)
    method.check_demonstrations(len(sequences))
    method.learned(sequences)


def check_queries(model: Model, method: Method) -> None:
    """
    Raises:
        UserError: query vectors of training tokens before rotary positions cannot be had of this network or method.
    """
    check_rotary(model.anatomy)
    if not isinstance(method, FineTuning):
        raise UserError(
            f"Query vectors of training tokens, of {method.name}",
            "a method that trains weights on them",
            "Leave attention_to_demonstrations out, or the method",
        )


def tuned_model(
    model: Model,
    method: Method,
    history: History,
    *,
    steps: int | None = None,
    change: Mapping[str, Tensor] | None = None,
    intervention: Intervention | None = None,
    queries: list[Tensor] | None = None,
    notes: Sequence[str] = (),
) -> TunedModel:
    """The model after so many steps (None: all of them), whose weights its network has, or its change says."""
    same = {attribute.name: getattr(model, attribute.name) for attribute in fields(Model)}
    same["notes"] = (*model.notes, *notes)
    if change is not None:
        same["change"] = change
    if intervention is not None:
        same["intervention"] = intervention
    return TunedModel(
        **same,
        method=method,
        losses=torch.tensor(history.losses[:steps]),
        gradient_norms=torch.tensor(history.gradient_norms[:steps]).view(-1, history.layers).T,
        training_queries=queries,
    )
