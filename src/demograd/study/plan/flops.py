"""Floating-point operations of observing, from sizes and token counts; those of training each method knows itself."""

Counted are matrix products and attention, as `torch.utils.flop_counter` counts them: attention over the whole square of
queries and keys, and its backward pass as two and a half forward ones (a fused kernel computes the logits again). In
blocks whose MLP stands beside attention (GPT-J, Cohere, Falcon), LCGD's backward pass is counted too high: it does not
go through the MLP.
"""

from dataclasses import dataclass

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method
from demograd.learn.layer_causal import ROWS_READ_TOGETHER
from demograd.study.plan.blueprint import Blueprint
from demograd.study.sizes import PromptSizes, SequenceSizes, Trained


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
        """So many of these."""
        return Flops(factor * self.forward, factor * self.backward)


def observing(blueprint: Blueprint, prompts: PromptSizes) -> Flops:
    """One observation: the context once, every query behind it, the vocabulary where labels are scored."""
    pairs = prompts.context**2 + prompts.own * prompts.context + prompts.squares
    return Flops(_decoding(blueprint, prompts.context + prompts.own, pairs) + _reading(blueprint, prompts.rows))


def training(blueprint: Blueprint, sequences: Trained, method: Method) -> Flops:
    """All steps of a method on these demonstrations."""
    return sum((_training_one(blueprint, one, method) for one in sequences), Flops()).times(method.epochs)


def _training_one(blueprint: Blueprint, sequence: SequenceSizes, method: Method) -> Flops:
    if method.step != "token":
        return _pass(blueprint, sequence.tokens, sequence.learned, method)
    whole = Flops()
    for tokens in range(1, sequence.tokens):  # each token behind those before it, which predict the next one
        one = _pass(blueprint, tokens, 1, method)
        whole += one if tokens >= sequence.tokens - sequence.learned else Flops(one.forward)
    return whole


def _pass(blueprint: Blueprint, tokens: int, rows: int, method: Method) -> Flops:
    """Forward and backward over one sequence of which so many rows are learned from."""
    trained = blueprint.trained_entries(method.parameters)
    weights = 2 * tokens * sum(trained.values())
    forward = _decoding(blueprint, tokens, tokens**2)
    if isinstance(method, GradientDescent):
        lowest = min(trained)
        above = sum(sizes.all for sizes in blueprint.sizes[lowest:]) - blueprint.sizes[lowest].before_attention
        everything = method.parameters.which == "all" and method.parameters.layers == "all"
        backward = 2 * tokens * above + _attending_back(blueprint, tokens) * (blueprint.layers - lowest) + weights
        backward += _reading(blueprint, rows) * (2 if everything else 1)
        if everything:
            backward += 2 * tokens * blueprint.sizes[0].before_attention
        return Flops(forward + _reading(blueprint, rows), backward)
    return Flops(forward, 0) + _layer_by_layer(blueprint, tokens, rows, method, trained)


def _layer_by_layer(
    blueprint: Blueprint, tokens: int, rows: int, method: LayerCausalGradientDescent, trained: dict[int, int]
) -> Flops:
    """LCGD: each trained layer's readout, there and back, and back through that layer to its projections."""
    together = min(len(trained), -(-ROWS_READ_TOGETHER // rows))  # layers whose rows meet each other's targets
    of_targets = 2 * rows * (together * rows) * blueprint.hidden
    whole = Flops()
    for layer, entries in trained.items():
        sizes = blueprint.sizes[layer]
        output = blueprint.attention_width * blueprint.hidden
        back_through = sizes.all - sizes.before_attention if method.readout == "block" else output
        attention = _attending_back(blueprint, tokens)
        whole += Flops(
            _reading(blueprint, rows) + of_targets,
            _reading(blueprint, rows) + of_targets + 2 * tokens * (back_through + entries) + attention,
        )
    return whole


def _decoding(blueprint: Blueprint, tokens: int, pairs: int) -> int:
    """The blocks, on so many tokens that look at keys in so many pairs."""
    matrices = sum(sizes.all for sizes in blueprint.sizes)
    return 2 * tokens * matrices + 4 * blueprint.attention_width * pairs * blueprint.layers


def _attending_back(blueprint: Blueprint, tokens: int) -> int:
    """One layer's attention, backward: five products of the square, where forward has two."""
    return 10 * blueprint.attention_width * tokens**2


def _reading(blueprint: Blueprint, rows: int) -> int:
    """The vocabulary projection of so many rows."""
    return 2 * rows * blueprint.hidden * blueprint.vocabulary
