"""Floating-point operations of training, from sizes and token counts; a product and its addition are two.

Counted are matrix products and attention, as `torch.utils.flop_counter` counts them: attention over the whole square of
queries and keys, and its backward pass as two and a half forward ones (a fused kernel computes the logits again).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from demograd.learn.subset import ParameterSubset


@dataclass(frozen=True)
class Flops:
    """Operations, forward and backward."""

    forward: int = 0
    backward: int = 0

    @property
    def total(self) -> int:
        return self.forward + self.backward

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.forward + other.forward, self.backward + other.backward)

    def times(self, factor: int) -> "Flops":
        """The same work so many times."""
        return Flops(factor * self.forward, factor * self.backward)


@dataclass(frozen=True, slots=True)
class SequenceSizes:
    """The sizes of one training sequence."""

    tokens: int
    learned: int
    """The last so many of its tokens are learned from."""
    answer: int = 0
    """The last so many of its tokens are the answer, from which alone a loss on the label learns."""


@dataclass(frozen=True)
class LayerSizes:
    """Entries of a block's matrices: a token takes two operations for each of them."""

    all: int
    before_attention: int
    """Query, key and value projections: the input of the lowest trained layer needs no gradient."""


@runtime_checkable
class NetworkSizes(Protocol):
    """The sizes of a network, which are known before its weights are there."""

    @property
    def layers(self) -> int:
        """The number of blocks."""

    @property
    def sizes(self) -> list[LayerSizes]:
        """The sizes of each block."""

    @property
    def hidden(self) -> int:
        """The width of the residual stream at the unembedding."""

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""

    @property
    def attention_width(self) -> int:
        """Query heads times their width."""

    def trained_entries(self, subset: ParameterSubset) -> dict[int, int]:
        """Entries of the matrices that get a gradient, by layer: a fused matrix gets one as a whole."""


def in_steps(sequences: Sequence[SequenceSizes], step: str, pass_cost: Callable[[int, int], Flops]) -> Flops:
    """One pass over the sequences, where `pass_cost` gives the operations of so many tokens and learned tokens.

    Token by token, each is run behind those before it, forward alone where its next token is not learned.
    """
    whole = Flops()
    for sequence in sequences:
        if step != "token":
            whole += pass_cost(sequence.tokens, sequence.learned)
            continue
        for tokens in range(1, sequence.tokens):
            cost = pass_cost(tokens, 1)
            whole += cost if tokens >= sequence.tokens - sequence.learned else Flops(cost.forward)
    return whole


def through_network(network: NetworkSizes, subset: ParameterSubset, tokens: int, learned: int) -> Flops:
    """Forward through the network, and backward from its loss to the lowest trained layer."""
    trained = network.trained_entries(subset)
    lowest = min(trained)
    above = sum(sizes.all for sizes in network.sizes[lowest:]) - network.sizes[lowest].before_attention
    everything = subset.which == "all" and subset.layers == "all"
    backward = 2 * tokens * (above + sum(trained.values()))
    backward += attending_backward(network, tokens) * (network.layers - lowest)
    backward += reading(network, learned) * (2 if everything else 1)
    if everything:
        backward += 2 * tokens * network.sizes[0].before_attention
    return Flops(decoding(network, tokens, tokens**2) + reading(network, learned), backward)


def decoding(network: NetworkSizes, tokens: int, pairs: int) -> int:
    """The blocks, on so many tokens that look at keys in so many pairs."""
    matrices = sum(sizes.all for sizes in network.sizes)
    return 2 * tokens * matrices + 4 * network.attention_width * pairs * network.layers


def attending_backward(network: NetworkSizes, tokens: int) -> int:
    """One layer's attention, backward: five products of the square, where forward has two."""
    return 10 * network.attention_width * tokens**2


def reading(network: NetworkSizes, rows: int) -> int:
    """The vocabulary projection of so many rows."""
    return 2 * rows * network.hidden * network.vocabulary
