"""What fine-tuning can do with demonstrations: each method is a frozen record of its settings."""

from dataclasses import dataclass, field
from typing import Literal

from demograd import models
from demograd.errors import UserError, quoted
from demograd.learn.subset import ParameterSubset

LARGEST = 3.4e38
"""Of a learning rate: the numbers of 32 bit, in which torch takes it, end here."""


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What every method can be told."""

    # a study file makes methods by way of pydantic, which would otherwise pass over a misspelt option
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 (a dict that nobody changes, and not a field)

    learning_rate: float
    parameters: ParameterSubset = field(default_factory=ParameterSubset)
    """What is trained; every other entry keeps its bits."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """Adam leaves out the entries of key biases whose gradient is nothing but rounding (`learn.key_biases`)."""
    momentum: float = 0.0
    """Of SGD; Adam keeps its own."""
    epochs: int = 1
    """Passes over the demonstrations."""
    clip: float | None = None
    """The most that the norm of a step's gradients may be; larger ones are scaled down to it. GD: over all trained
    parameters; LCGD: each layer's own, as each layer is its own problem."""
    linearised: bool = False
    """Observe the first-order change h + J·ΔW of the whole update ΔW, with all weights as they were before. What is
    observed then need not be a distribution: first-order log-probabilities do not add up to one."""

    def __post_init__(self) -> None:
        if not 0 <= self.learning_rate <= LARGEST:
            raise UserError(f"learning rate {self.learning_rate}", f"a number from 0 to {LARGEST}", "Try 0.001")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum {self.momentum}", "a number from 0 to below 1", "Leave it out for none")
        if self.epochs < 1:
            raise UserError(f"epochs {quoted(self.epochs)}", "at least one pass", "Leave it out for one")
        if self.momentum and self.optimizer == "adam":
            raise UserError("momentum with Adam", "momentum with sgd only", "Leave one of them out")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise UserError(f"clip {self.clip}", "a finite norm above zero", "Leave it out for no clipping")

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

    def _options(self) -> list[str]:
        """What differs from the defaults, in words."""
        return [
            *(["Adam"] if self.optimizer == "adam" else []),
            *([f"momentum {self.momentum:g}"] if self.momentum else []),
            *([f"{quoted(self.epochs)} epochs"] if self.epochs > 1 else []),
            *([f"clipped at {self.clip:g}"] if self.clip is not None else []),
            *([self.parameters.label] if self.parameters.label else []),
            *(["linearised"] if self.linearised else []),
        ]


@dataclass(frozen=True, kw_only=True)
class GradientDescent(_Settings):
    """GD (Dai 2023, Deutch 2024): one SGD step per demonstration, in order, on the key and value projections."""

    step: Literal["demonstration", "token", "batch"] = "demonstration"
    """One step per demonstration on its mean loss; one per counted token on that token's loss, not divided by their
    number; or full batch: one on the mean over demonstrations (Shen 2023)."""

    @property
    def label(self) -> str:
        """The name in a table: the method, and every option but the learning rate that is not the default."""
        step = {"demonstration": [], "token": ["by token"], "batch": ["full batch"]}[self.step]
        return ", ".join(["GD", *step, *self._options()])


@dataclass(frozen=True, kw_only=True)
class LayerCausalGradientDescent(_Settings):
    """LCGD (Deutch 2024 §4): each layer learns from a loss read out at that layer, and from nothing above it."""

    readout: Literal["block", "attention_residual", "attention"] = "block"
    """What U reads: the block's output (the released runs), the residual stream after attention, or the attention
    output alone (the paper's formula)."""
    step: Literal["demonstration", "token"] = "demonstration"
    """One step per demonstration on its mean loss (the released runs), or one per token on that token's loss (§4.4)."""
    softmax_gradient: bool = True
    """False takes attention weights as constants, so only the values learn: a derivative that one attention layer could
    compute plausibly (§4.2, which names it and takes the whole derivative for simplicity)."""

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: the network has not what is to be trained, or nothing that the readout could read.
        """
        super().check(anatomy)
        if self.readout == "attention_residual" and not anatomy.has_residual_stream_after_attention:
            raise UserError(
                f"readout attention_residual for {anatomy.network.config.model_type}",
                "an architecture whose residual stream after attention demograd knows",
                "Use the readout block or attention",
            )

    @property
    def label(self) -> str:
        """The name in a table: the method, and every option but the learning rate that is not the default."""
        readout = {"block": [], "attention_residual": ["read after attention"], "attention": ["read from attention"]}
        step = ["by token"] if self.step == "token" else []
        softmax = [] if self.softmax_gradient else ["no softmax derivative"]
        return ", ".join(["LCGD", *readout[self.readout], *step, *softmax, *self._options()])


Method = GradientDescent | LayerCausalGradientDescent


class Diverged(Exception):
    """A loss or a weight that is not finite: the method's run ends here, with this word and the step."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"diverged at step {step}: {what} is not finite")
        self.step = step
