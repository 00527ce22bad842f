"""Vectors that are read from prompts of the demonstrations and put into the zero-shot pass, without any training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from demograd import learn, models
from demograd.errors import UserError, quoted
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, decoding
from demograd.learn.method import Method, method
from demograd.numbers import Whole


@dataclass(frozen=True, kw_only=True)
class InContextVector(Method):
    """A method that prompts with the demonstrations, one of them left out as the query whose answer is not shown.

    The learning rate is the strength of the vector; 1 is what was published.
    """

    default_rate: ClassVar[float | None] = 1.0
    fewest: ClassVar[int] = 2  # one is the query, and one stands before it

    prompts: Whole = field(default=4, metadata={"words": "{} prompts"})
    """The vector is a mean over so many prompts: in each another demonstration is the query, the first ones in order,
    and all others stand before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts < 1:
            raise UserError(f"prompts {quoted(self.prompts)}", "at least 1", "Leave it out for 4")

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """A prompt of all demonstrations so many times."""
        tokens = sum(sizes.tokens for sizes in sequences)
        return Flops(min(self.prompts, len(sequences)) * decoding(network, tokens, tokens**2))


@method("task vector")
@dataclass(frozen=True, kw_only=True)
class TaskVector(InContextVector):
    """The residual stream that a prompt of the demonstrations has at one layer takes the query's place (Hendel 2023).

    h ← (1 − s) h + s v behind block L, where the answer is predicted, s being the learning rate. v is the mean over
    several queries; the paper takes one.
    """

    layer: Whole | Literal["best"] = field(default="best", metadata={"words": "layer {}"})
    """L, from 0; `best`: the one at which the vector makes the demonstrations' own answers likeliest among the label
    words, each zero-shot. The paper chooses it on a development set; here there are the demonstrations alone, and a
    demonstration on which the layer is chosen stood in the prompts of the others, of which the vector is a mean."""

    def train(self, training: "learn.Training") -> None:
        """Read the vector; nothing is trained.

        Raises:
            Diverged: what the network computes is not finite.
        """
        from demograd.learn.rivals.in_context import make_task_vector  # with torch, which settings do without

        make_task_vector(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """The prompts, and each layer tried on the left-out demonstrations."""
        prompts = super().cost(network, sequences)
        if self.layer != "best":
            return prompts
        tokens = [sizes.tokens for sizes in sequences[: self.prompts]]
        trials = sum(decoding(network, count, count**2) for count in tokens)
        return prompts + Flops(network.layers * trials)

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: the network has no such layer.
        """
        check_layer(self.layer, anatomy)


@method("function vector")
@dataclass(frozen=True, kw_only=True)
class FunctionVector(InContextVector):
    """The mean outputs of the heads that carry the task, added to the residual stream at one layer (Todd 2023).

    h ← h + s Σ_heads mean output (through the output projection), behind block L, where the answer is predicted, s
    being the learning rate. The heads are those with the largest indirect effect: what putting a head's mean output
    into prompts with shuffled answers does to the likelihood of the right answer, to first order (attribution patching)
    where the paper patches head by head. They are chosen for each set, by log-likelihood; the paper chooses them once,
    by likelihood over many tasks.
    """

    version: ClassVar[int] = 2

    heads: Whole = field(default=10, metadata={"words": "{} heads"})
    """How many heads are summed (the paper: 10 for GPT-J)."""
    layer: Whole | Literal["third"] = field(default="third", metadata={"words": "layer {}"})
    """L, from 0; `third`: a third of the depth (the paper: about |L|/3)."""
    seed: Whole = 0
    """Shuffles the answers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1:
            raise UserError(f"heads {quoted(self.heads)}", "at least 1", "Leave it out for 10")

    def train(self, training: "learn.Training") -> None:
        """Read the vector; nothing is trained.

        Raises:
            Diverged: what the network computes is not finite.
        """
        from demograd.learn.rivals.in_context import make_function_vector  # with torch, which settings do without

        make_function_vector(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """The prompts, and those with shuffled answers there and back."""
        prompts = super().cost(network, sequences)
        return prompts + Flops(prompts.forward, 2 * prompts.forward)

    def check(self, anatomy: "models.Anatomy") -> None:
        """
        Raises:
            UserError: the network has no such layer, or it is not known what a head adds to its residual stream.
        """
        check_layer(self.layer, anatomy)
        if not anatomy.has_residual_stream_after_attention:
            raise UserError(
                f"function vector for {anatomy.network.config.model_type}",
                "an architecture of which demograd knows what a head adds to the residual stream",
                "Use another method, or another model",
            )


def check_layer(layer: int | str, anatomy: "models.Anatomy") -> None:
    """
    Raises:
        UserError: the network has no such layer.
    """
    depth = len(anatomy.blocks)
    if isinstance(layer, int) and not 0 <= layer < depth:
        raise UserError(f"layer {layer} of a network with {depth}", f"a number from 0 to {depth - 1}", "Correct it")
