"""Predictions that look up the demonstrations: kernel regression on features, and copying where the text is alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from demograd import learn
from demograd.errors import UserError
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes
from demograd.learn.fine_tuning import with_loss_on, with_loss_on_sizes
from demograd.learn.method import Method, method
from demograd.learn.rivals.readout import features_cost
from demograd.numbers import Real

if TYPE_CHECKING:
    from demograd.tasks.prompts import TrainingSequence


@dataclass(frozen=True, kw_only=True)
class Lookup(Method):
    """A model whose predictions are mixed with labels of demonstrations, as in kNN-LM (Khandelwal 2020).

    p ← (1 − λ) p + λ Σ_i w_i y_i, with weights of the demonstrations' answer tokens that add up to one; the learning
    rate is λ. Where no demonstration is like the query at all, p stays as it is.
    """

    default_rate: ClassVar[float | None] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_rate >= 1:
            raise UserError(
                f"{self.name} at {self.learning_rate:g}, the share of the prediction that is looked up",
                "a number from 0 to below 1: at 1 labels without a demonstration have no probability",
                f"Try {self.default_rate}",
            )

    def learned(self, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
        """With the answer's tokens counted alone, which are what is looked up.

        Raises:
            UserError: a sequence does not say where its answer begins.
        """
        return with_loss_on("label", sequences)


@method("kernel regression")
@dataclass(frozen=True, kw_only=True)
class KernelRegression(Lookup):
    """Labels averaged with a softmax kernel of the last layer's features, mixed into the prediction (Han 2023).

    w = softmax_i(cos(φ, φ_i) / τ), φ being hidden states after the final norm: Nadaraya and Watson's estimator.
    """

    temperature: Real = 0.05
    """τ, in units of the cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < float("inf"):
            raise UserError(f"temperature {self.temperature}", "a finite number above zero", "Leave it out for 0.05")

    def train(self, training: "learn.Training") -> None:
        """Keep the features of the demonstrations."""
        from demograd.learn.rivals.features import keep_features  # with torch, which settings do without

        keep_features(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """Features of each demonstration."""
        return features_cost(network, with_loss_on_sizes("label", sequences))


@method("induction")
@dataclass(frozen=True, kw_only=True)
class InductionCopying(Lookup):
    """Copying what followed the last token before, where the text was most alike, as induction heads do (Olsson 2022).

    w_i ∝ cosine of the counts of tokens of the query so far and of the demonstration so far, if both end with the same
    token; else 0. Tokens that all demonstrations share, the template's, do not count. No network is asked.
    """

    version: ClassVar[int] = 2

    def train(self, training: "learn.Training") -> None:
        """Keep the tokens of the demonstrations."""
        from demograd.learn.rivals.features import keep_tokens  # with torch, which settings do without

        keep_tokens(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """None."""
        return Flops()
