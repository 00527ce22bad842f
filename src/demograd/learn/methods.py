"""What fine-tuning can do with demonstrations: each method is a frozen record of its settings."""

from dataclasses import dataclass
from typing import Literal

from demograd.errors import UserError
from demograd.models import Anatomy


@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """GD (Dai 2023, Deutch 2024): one SGD step per demonstration, in order, on the key and value projections."""

    learning_rate: float
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    """Of SGD; Adam keeps its own."""
    step: Literal["demonstration", "batch"] = "demonstration"
    """One step per demonstration, or full batch: one step on the mean over demonstrations (Shen 2023)."""
    epochs: int = 1
    """Passes over the demonstrations."""

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum {self.momentum}", "a number from 0 to below 1", "Leave it out for none")
        if self.epochs < 1:
            raise UserError(f"epochs {self.epochs}", "at least one pass", "Leave it out for one")
        if self.momentum and self.optimizer == "adam":
            raise UserError("momentum with Adam", "momentum with sgd only", "Leave one of them out")

    def check(self, anatomy: Anatomy) -> None:
        """GD suits every network."""


@dataclass(frozen=True, kw_only=True)
class LayerCausalGradientDescent:
    """LCGD (Deutch 2024 §4): each layer learns from a loss read out at that layer, and from nothing above it."""

    learning_rate: float
    readout: Literal["block", "attention_residual", "attention"] = "block"
    """What U reads: the block's output (the released runs), the residual stream after attention, or the attention
    output alone (the paper's formula)."""
    step: Literal["demonstration", "token"] = "demonstration"
    """One step per demonstration on its mean loss (the released runs), or one per token on that token's loss (§4.4)."""
    softmax_gradient: bool = True
    """False takes attention weights as constants (§4.2), so only the values learn."""

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)

    def check(self, anatomy: Anatomy) -> None:
        """
        Raises:
            UserError: the readout is not to be found in this network.
        """
        if self.readout == "attention_residual" and not anatomy.has_residual_stream_after_attention:
            raise UserError(f"readout attention_residual for {anatomy.network.config.model_type}",
                            "an architecture whose residual stream after attention demograd knows",
                            "Use the readout block or attention")  # fmt: skip


Method = GradientDescent | LayerCausalGradientDescent


class Diverged(Exception):
    """A loss or a weight that is not finite: the method's run ends here, with this word and the step."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"diverged at step {step}: {what} is not finite")
        self.step = step


def _check_rate(rate: float) -> None:
    if not 0 <= rate < float("inf"):
        raise UserError(f"learning rate {rate}", "a finite number, zero or more", "Try 0.001")
