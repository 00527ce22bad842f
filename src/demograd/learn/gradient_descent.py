"""GD on the demonstrations (Dai 2023, Deutch 2024), and its relatives with other optimizers and batches (Shen 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from demograd import learn
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, in_steps, through_network
from demograd.learn.fine_tuning import FineTuning
from demograd.learn.method import method


@method("GD")
@dataclass(frozen=True, kw_only=True)
class GradientDescent(FineTuning):
    """One SGD step per demonstration, in order, on the key and value projections (GD; Dai 2023, Deutch 2024)."""

    step: Literal["demonstration", "token", "batch"] = field(
        default="demonstration", metadata={"words": {"token": "one step per token", "batch": "full batch"}}
    )
    """One step per demonstration on its mean loss; one per counted token on that token's loss, not divided by their
    number; or full batch: one on the mean over demonstrations (Shen 2023)."""

    def train(self, training: "learn.Training") -> None:
        """θ ← θ − η ∇CE(f(x), e), batch after batch.

        Raises:
            Diverged: a loss, gradient or weight is not finite.
        """
        for batch in training.batches(self.step, self.epochs):
            loss, gradients = training.loss_and_gradients(batch)
            training.update(loss, gradients)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """Every pass goes through the whole network, and back to the lowest layer that is trained."""
        return in_steps(
            self.learned_sizes(sequences), self.step, partial(through_network, network, self.parameters)
        ).times(self.epochs)
