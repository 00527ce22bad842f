"""LCGD, layer-causal gradient descent (Deutch 2024 §4): every layer learns from its own readout."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from demograd import learn, models
from demograd.errors import UserError
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes, attending_backward, decoding, in_steps, reading
from demograd.learn.fine_tuning import FineTuning
from demograd.learn.method import method

# A short demonstration is too few rows for the vocabulary projection to run at a machine's matrix rate. Layers wait
# until they have this many rows together, which makes it twice as fast on a CPU; a long one is read layer by layer.
ROWS_READ_TOGETHER = 512


@method("LCGD")
@dataclass(frozen=True, kw_only=True)
class LayerCausalGradientDescent(FineTuning):
    """Each layer learns from a loss read out at that layer, and from nothing above it (LCGD; Deutch 2024 §4)."""

    layer_causal: ClassVar[bool] = True

    readout: Literal["block", "attention_residual", "attention"] = field(
        default="block",
        metadata={
            "words": {
                "attention": "reads the attention output",
                "attention_residual": "reads the stream after attention",
            }
        },
    )
    """The hidden states that U reads: the block's output (the released runs), the residual stream after attention, or
    the attention output alone (the paper's formula)."""
    step: Literal["demonstration", "token"] = field(
        default="demonstration", metadata={"words": {"token": "one step per token"}}
    )
    """One step per demonstration on its mean loss (the released runs), or one per token on that token's loss (§4.4)."""
    softmax_gradient: bool = field(default=True, metadata={"words": {False: "no softmax derivative"}})
    """False takes attention weights as constants, so only the values learn: a derivative that one attention layer could
    compute plausibly (§4.2, which names it and takes the whole derivative for simplicity)."""

    def train(self, training: "learn.Training") -> None:
        """θ_l ← θ_l − η ∇CE(U(f_l(stop(h_{l−1}))), e) in every layer, pass after pass.

        Raises:
            Diverged: a loss, gradient or weight is not finite.
        """
        from demograd.learn.layer_by_layer import train_layer_by_layer  # with torch, which settings do without

        train_layer_by_layer(training, self)

    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """Each trained layer's readout, there and back, and back through that layer to its projections.

        In blocks whose MLP stands beside attention (GPT-J, Cohere, Falcon), the backward pass is counted too high: it
        does not go through the MLP.
        """
        trained = network.trained_entries(self.parameters)

        def pass_cost(tokens: int, learned: int) -> Flops:
            # layers whose rows meet each other's targets
            together = min(len(trained), -(-ROWS_READ_TOGETHER // learned))
            read = reading(network, learned) + 2 * learned * (together * learned) * network.hidden
            whole = Flops(decoding(network, tokens, tokens**2))
            for layer, entries in trained.items():
                sizes = network.sizes[layer]
                output = network.attention_width * network.hidden
                through = sizes.all - sizes.before_attention if self.readout == "block" else output
                back = 2 * tokens * (through + entries) + attending_backward(network, tokens)
                whole += Flops(read, read + back)
            return whole

        return in_steps(self.learned_sizes(sequences), self.step, pass_cost).times(self.epochs)

    @property
    def differentiates_softmax(self) -> bool:
        """Whether gradients pass through the softmax of attention."""
        return self.softmax_gradient

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
