"""Fine-tuning: methods that train parameters of the network, and the options that all of them have."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from demograd import models
from demograd.errors import UserError, quoted
from demograd.learn.cost import SequenceSizes
from demograd.learn.method import Method
from demograd.learn.subset import ParameterSubset
from demograd.numbers import Real, Whole

if TYPE_CHECKING:
    from demograd.tasks.prompts import TrainingSequence


@dataclass(frozen=True, kw_only=True)
class FineTuning(Method):
    """The settings of every method that trains parameters; a subclass adds its own, and trains."""

    parameters: ParameterSubset = field(default_factory=ParameterSubset)
    """The parameters that are trained; every other entry keeps its bits."""
    optimizer: Literal["sgd", "adam"] = field(default="sgd", metadata={"words": {"adam": "Adam"}})
    """Adam leaves out the entries of key biases whose gradient is nothing but rounding (`learn.key_biases`)."""
    momentum: Real = 0.0
    """The momentum of SGD; Adam has its own."""
    epochs: Whole = field(default=1, metadata={"words": "{} epochs"})
    """Passes over the demonstrations."""
    loss_on: Literal["all", "label"] = field(default="all", metadata={"words": {"label": "loss on the label"}})
    """The tokens whose prediction counts: all that the sequences count, or those of the answer alone."""
    clip: Real | None = None
    """The most that the norm of a step's gradients may be; larger ones are scaled down to it. GD: over all trained
    parameters; LCGD: each layer's own, as each layer is its own problem."""
    linearised: bool = field(default=False, metadata={"words": {True: "linearised"}})
    """Observe the first-order change h + J·ΔW of the whole update ΔW, with all weights as they were before. What is
    observed then need not be a distribution: first-order log-probabilities do not add up to one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum {self.momentum}", "a number from 0 to below 1", "Leave it out for none")
        if self.momentum and self.optimizer == "adam":
            raise UserError("momentum with Adam", "momentum with sgd only", "Leave one of them out")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise UserError(f"clip {self.clip}", "a finite norm above zero", "Leave it out for no clipping")
        check_epochs(self.epochs)

    def learned(self, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
        """The sequences with the loss that this method takes.

        Raises:
            UserError: it is on the label, and a sequence does not say where its answer begins.
        """
        return with_loss_on(self.loss_on, sequences)

    def learned_sizes(self, sequences: Sequence[SequenceSizes]) -> list[SequenceSizes]:
        """The sizes of those."""
        return with_loss_on_sizes(self.loss_on, sequences)

    def n_steps(self, demonstrations: int) -> int:
        """One for each demonstration and epoch; methods with other steps are counted as if these were theirs."""
        return demonstrations * self.epochs

    @property
    def differentiates_softmax(self) -> bool:
        """Whether gradients pass through the softmax of attention; else attention weights are constants."""
        return True

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: the network has not what is to be trained, or no derivative for `linearised`.
        """
        self.parameters.check(len(anatomy.blocks))
        from demograd.observe.self_check import has_forward_mode  # with torch, which settings do without

        if self.linearised and not has_forward_mode(anatomy):
            raise UserError(
                f"linearised for {anatomy.network.config.model_type}",
                "an architecture all of whose functions have a forward-mode derivative",
                "Leave it out, or use another model",
            )


LossOn = Literal["all", "label"]


def with_loss_on(loss_on: LossOn, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
    """The sequences with a loss on all tokens that they count, or on the label alone.

    Raises:
        UserError: it is on the label, and a sequence does not say where its answer begins.
    """
    return [sequence if loss_on == "all" else sequence.on_label() for sequence in sequences]


def with_loss_on_sizes(loss_on: LossOn, sequences: Sequence[SequenceSizes]) -> list[SequenceSizes]:
    """The sizes of those."""
    return [sizes if loss_on == "all" else replace(sizes, learned=sizes.answer) for sizes in sequences]


def check_epochs(epochs: int) -> None:
    """
    Raises:
        UserError: there is no pass over the demonstrations.
    """
    if epochs < 1:
        raise UserError(f"epochs {quoted(epochs)}", "at least one pass", "Leave it out for one")
