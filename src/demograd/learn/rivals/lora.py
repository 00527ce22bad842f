"""LoRA (Hu 2021): the change of each trained matrix has low rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from demograd import learn, models
from demograd.errors import UserError, quoted
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, in_steps, through_network
from demograd.learn.fine_tuning import FineTuning
from demograd.learn.method import method
from demograd.numbers import Whole


@method("LoRA")
@dataclass(frozen=True, kw_only=True)
class LowRankAdaptation(FineTuning):
    """GD on a low-rank change of the key and value matrices, W + BA (LoRA; Hu 2021).

    The paper adapts queries and values, draws A from a normal distribution and scales BA by α/r; here what is adapted
    is what the other methods train, A is drawn as in the paper's released code, and α/r is 1. In 16-bit networks W + BA
    is rounded into W, so that what the network computes with is of low rank up to rounding.
    """

    rank: Whole = field(default=4, metadata={"words": "rank {}"})
    """Of BA: columns of B, rows of A."""
    seed: Whole = 0
    """Draws A, uniform in ±1/√inputs; B begins as zero, so that the network is at first what it was."""
    step: Literal["demonstration", "batch"] = field(
        default="demonstration", metadata={"words": {"batch": "full batch"}}
    )
    """One step per demonstration, or one on the mean over demonstrations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise UserError(f"rank {quoted(self.rank)}", "at least 1", "Leave it out for 4")

    def train(self, training: "learn.Training") -> None:
        """∇_B = ∇_W Aᵀ and ∇_A = Bᵀ ∇_W, from the gradient of the whole matrix; biases stay as they are.

        Raises:
            Diverged: a loss, gradient or weight is not finite.
        """
        from demograd.learn.rivals.low_rank import train_low_rank  # with torch, which settings do without

        train_low_rank(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """As GD's; the products of factors are nothing beside it."""
        return in_steps(
            self.learned_sizes(sequences), self.step, partial(through_network, network, self.parameters)
        ).times(self.epochs)

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: what is to be trained is not there, or is no whole matrix of a layer.
        """
        super().check(anatomy)
        if self.parameters.fraction < 1 or self.parameters.which == "all":
            raise UserError(
                "LoRA of a fraction of the entries, or of all parameters",
                "whole key and value matrices",
                "Leave fraction and which: all out",
            )

    @staticmethod
    def bound(inputs: int) -> float:
        """The most that an entry of A is at first."""
        return 1 / math.sqrt(inputs)
