"""GD on the readout alone: the last layer's features stay as they are ("shallow" gradient descent)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demograd import learn
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, decoding, reading
from demograd.learn.fine_tuning import check_epochs, with_loss_on, with_loss_on_sizes
from demograd.learn.method import Method, method
from demograd.numbers import Whole

if TYPE_CHECKING:
    from demograd.tasks.prompts import TrainingSequence


@method("readout GD")
@dataclass(frozen=True, kw_only=True)
class ReadoutGradientDescent(Method):
    """GD on the unembedding alone, one step per demonstration, its loss on the label; only predictions change.

    In its dual form: a step on a demonstration with features φ_i (hidden states after the final norm) and error
    e_i = y_i − softmax(logits) adds η e_i φ_iᵀ to the unembedding, and so η (φ_i · φ) e_i to the logits at features φ.
    Embeddings that are tied to the unembedding keep their values, and what the network does to its logits afterwards
    (a cap, a scale) is not differentiated: the step is taken on the logits that it gives.
    """

    epochs: Whole = field(default=1, metadata={"words": "{} epochs"})
    """Passes over the demonstrations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_epochs(self.epochs)

    def train(self, training: "learn.Training") -> None:
        """U ← U + η e_i φ_iᵀ, demonstration by demonstration.

        Raises:
            Diverged: a loss or an error is not finite.
        """
        from demograd.learn.rivals.features import train_readout  # with torch, which settings do without

        train_readout(training, self)

    def learned(self, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
        """With the loss on the label.

        Raises:
            UserError: a sequence does not say where its answer begins.
        """
        return with_loss_on("label", sequences)

    def n_steps(self, demonstrations: int) -> int:
        """One for each demonstration and epoch."""
        return demonstrations * self.epochs

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """Features once; a step is nothing beside them."""
        return features_cost(network, with_loss_on_sizes("label", sequences))


def features_cost(network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
    """Each demonstration forward through the network."""
    return Flops(
        sum(decoding(network, sizes.tokens, sizes.tokens**2) + reading(network, sizes.learned) for sizes in sequences)
    )
