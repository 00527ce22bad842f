"""Prefix tuning (Li and Liang 2021): keys and values that every token sees, trained in place of weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from demograd import learn, models
from demograd.errors import UserError, quoted
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, attending_backward, decoding, reading
from demograd.learn.fine_tuning import check_epochs, with_loss_on, with_loss_on_sizes
from demograd.learn.method import Method, method
from demograd.numbers import Real, Whole

if TYPE_CHECKING:
    from demograd.tasks.prompts import TrainingSequence


@method("prefix")
@dataclass(frozen=True, kw_only=True)
class PrefixTuning(Method):
    """Adam on keys and values of each layer that stand before the context, all weights frozen (Li and Liang 2021).

    Keys and values are trained themselves; the paper trains them through an MLP. They count as tokens before the
    context, as in a cache: in a layer with a sliding window, tokens farther from the beginning do not see them.
    """

    length: Whole = field(default=4, metadata={"words": "length {}"})
    """Keys of the prefix."""
    noise: Real = 0.02
    """The prefix begins as copies of the first token's keys and values, apart by normal noise of so many of their
    standard deviations; what it begins as changes the network too, so compare at more than one rate."""
    seed: Whole = 0
    """Draws the noise."""
    epochs: Whole = field(default=1, metadata={"words": "{} epochs"})
    """Passes over the demonstrations, one step each."""
    loss_on: Literal["all", "label"] = field(default="all", metadata={"words": {"label": "loss on the label"}})
    """The tokens whose prediction counts: all that the sequences count, or those of the answer alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_epochs(self.epochs)
        if self.length < 1:
            raise UserError(f"length {quoted(self.length)}", "at least 1", "Leave it out for 4")

    def train(self, training: "learn.Training") -> None:
        """One step of Adam per demonstration.

        Raises:
            Diverged: a loss, gradient or key is not finite.
        """
        from demograd.learn.rivals.prefix_steps import train_prefix  # with torch, which settings do without

        train_prefix(training, self)

    def learned(self, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
        """The sequences with the loss that this method takes.

        Raises:
            UserError: it is on the label, and a sequence does not say where its answer begins.
        """
        return with_loss_on(self.loss_on, sequences)

    def n_steps(self, demonstrations: int) -> int:
        """One for each demonstration and epoch."""
        return demonstrations * self.epochs

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """Through the network, and back to its first keys."""
        whole = Flops()
        for sizes in with_loss_on_sizes(self.loss_on, sequences):
            tokens, read = sizes.tokens, reading(network, sizes.learned)
            above = sum(layer.all for layer in network.sizes) - network.sizes[0].before_attention
            back = 2 * tokens * above + attending_backward(network, tokens) * network.layers + read
            whole += Flops(decoding(network, tokens, tokens * (tokens + self.length)) + read, back)
        return whole.times(self.epochs)

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: keys of this network need a position where they meet a query, or tokens see their own chunk.
        """
        import torch  # settings do without

        config = anatomy.network.config
        is_chunked = getattr(config, "attention_chunk_size", None) is not None
        if is_chunked or anatomy.position_bias(torch.arange(1)) is not None:
            raise UserError(
                f"prefix for {config.model_type}",
                "a network whose keys need no position where they meet a query, and no chunks",
                "Use another method, or another model",
            )
