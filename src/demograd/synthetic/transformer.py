"""Small transformers whose attention is a layer of `attention.py`, every matrix full and free."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from demograd.synthetic.attention import AttentionLayer, as_tokens, attended, attended_causally, predictions
from demograd.synthetic.constructions.copying import plain_tokens, sinusoids
from demograd.synthetic.constructions.mesa import PARTS, system_tokens
from demograd.synthetic.constructions.preconditioned import preconditioned_layer
from demograd.synthetic.sequences import Sequences, Trajectories, seeded
from demograd.synthetic.settings import Architecture, FreeBlocks

WIDENING = 4
"""Hidden units of the MLP for each of the features that it makes, as in von Oswald 2023a's code."""


class SmallTransformer(nn.Module):
    """Attention layers, adding to the tokens, and MLPs if there are any; no norms; positions in plain sequences."""

    def __init__(self, architecture: Architecture, width: int, seed: int, start: int = 0) -> None:
        """`width` is that of a token with its extra components.

        `seed` is that of the initial weights, of which there are several `start`s.
        """
        super().__init__()
        self.architecture = architecture
        generator = seeded("weights", seed, again=start)

        def parameter(*shape: int, fan: int) -> nn.Parameter:
            return nn.Parameter(architecture.initial_scale / fan**0.5 * torch.randn(shape, generator=generator))

        different = 1 if architecture.shared else architecture.layers
        square = (different, architecture.heads, width, width)
        if architecture.descent:
            self.rate = nn.Parameter(torch.full((different,), architecture.initial_scale))
        elif architecture.free == "all":
            self.key, self.query, self.value, self.projection = (parameter(*square, fan=width) for _ in range(4))
        else:
            block = (different, architecture.heads, width - 1, width - 1)
            self.preconditioner = parameter(*block, fan=width - 1)
            if architecture.free == "A and B":
                self.curvature = parameter(*block, fan=width - 1)
        if architecture.attention == "mesa":
            self.log_penalty = nn.Parameter(torch.zeros(different, architecture.heads))
        if architecture.features:
            hidden = WIDENING * architecture.features
            self.into_features, self.into_bias = (
                nn.Parameter(torch.randn(hidden, generator=generator)) for _ in range(2)
            )
            self.out_of_features = parameter(architecture.features, hidden, fan=hidden)
        if architecture.mlp:
            self.into_mlp = parameter(different, architecture.mlp, width, fan=width)
            self.out_of_mlp = parameter(different, width, architecture.mlp, fan=architecture.mlp)

    def layers(self) -> list[AttentionLayer]:
        """The attention layers in the order in which they run; shared ones are there as often as they run."""
        positions = [0 if self.architecture.shared else n for n in range(self.architecture.layers)]
        if self.architecture.descent:
            everything = torch.eye(self.architecture.features).to(self.rate)
            return [preconditioned_layer(self.rate[n] * everything, context=1) for n in positions]
        weights = self._weights()
        if self.architecture.attention == "mesa":
            weights = (*weights, self.log_penalty.exp())
        return [AttentionLayer(*(weight[n] for weight in weights)) for n in positions]

    def _weights(self) -> tuple[Tensor, ...]:
        """Key, query, value and projection of every layer that has weights of its own."""
        if self.architecture.free != "all":
            query = pad(self.preconditioner, (0, 1, 0, 1))
            everything = torch.eye(query.shape[-1]).to(query).expand_as(query)
            is_y = everything.clone()
            is_y[..., :-1, :] = 0.0
            b = pad(self.curvature, (0, 1, 0, 1)) if self.architecture.free == "A and B" else torch.zeros_like(query)
            return everything - is_y, query, -b - is_y, everything
        if self.architecture.by_inputs:
            is_x = torch.ones_like(self.key[0]).index_fill(-1, torch.tensor([-1], device=self.key.device), 0.0)
            return self.key * is_x, self.query * is_x, self.value, self.projection
        return self.key, self.query, self.value, self.projection

    def forward(self, problems: Sequences | Trajectories) -> Tensor:
        """Predictions: of the queries' y `[sequences, outputs]`, or of each next state `[sequences, times, state]`."""
        tokens = deque(self.after_each_layer(problems), maxlen=1).pop()  # the last alone is kept
        if isinstance(problems, Trajectories):
            return tokens[..., : problems.states.shape[-1]]
        return predictions(tokens, problems.y.shape[-1])

    def after_each_layer(self, problems: Sequences | Trajectories) -> Iterator[Tensor]:
        """Tokens `[sequences, tokens, width]`; after the last layer of regression problems the query's alone."""
        layers = self.layers()
        if isinstance(problems, Trajectories):
            tokens = system_tokens(problems.states)
            for n, layer in enumerate(layers):
                tokens = self._after_attention(attended_causally(tokens, layer, self.architecture.attention_of(n)), n)
                yield tokens
            return
        tokens = self.tokens(problems)
        for n, layer in enumerate(layers):
            last = n == len(layers) - 1
            attention = self.architecture.attention_of(n)
            tokens = self._after_attention(attended(tokens, layer, attention, last_only=last), n)
            yield tokens

    def tokens(self, problems: Sequences) -> Float[Tensor, "sequences tokens width"]:
        """What the first layer sees: extra components, then (x_i, y_i); or x and y in turn with their positions. The
        query comes last."""
        if self.architecture.features:
            problems = replace(problems, x=self.featured(problems.x), query_x=self.featured(problems.query_x))
        if not self.architecture.positions:
            return pad(as_tokens(problems), (self.architecture.extra, 0))
        return plain_tokens(problems, sinusoids(2 * problems.context + 1, self.architecture.positions))

    def featured(self, x: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch features"]:
        """The deep features of inputs of one component: an MLP of one hidden layer, with GELU."""
        return gelu(x * self.into_features + self.into_bias) @ self.out_of_features.mT

    def after_layer(
        self, tokens: Float[Tensor, "sequences tokens width"], layer: int
    ) -> Float[Tensor, "sequences tokens width"]:
        """All tokens of regression problems after one layer, counted from 0."""
        attention = self.architecture.attention_of(layer)
        return self._after_attention(attended(tokens, self.layers()[layer], attention), layer)

    def _after_attention(self, tokens: Float[Tensor, "*batch width"], layer: int) -> Float[Tensor, "*batch width"]:
        """What else a layer does: its MLP, and the bound on its tokens."""
        architecture = self.architecture
        if architecture.mlp:
            n = 0 if architecture.shared else layer
            tokens = tokens + (tokens @ self.into_mlp[n].mT).relu() @ self.out_of_mlp[n].mT
        return tokens if architecture.bound is None else tokens.clamp(-architecture.bound, architecture.bound)


def width_of(dimension: int, *, system: bool, positions: int = 0, features: int = 0, extra: int = 0) -> int:
    """A token's width: (x, y) of a regression problem with one output, behind its position if it has one, and with its
    features for x if it has some; or the four parts of a linear system's; and what is extra."""
    return extra + (PARTS * dimension if system else positions + (features or dimension) + 1)


Masks = tuple[Bool[Tensor, "width width"], Bool[Tensor, "width width"]]
"""Masks of QᵀK and of PV, as `products` gives them."""


def in_use(
    layers: int,
    inputs: int,
    outputs: int = 1,
    *,
    shared: bool = False,
    mlp: bool = False,
    by_inputs: bool = False,
    free: FreeBlocks = "all",
) -> list[Masks]:
    """For each layer of a network that predicts a query's y from (x, 0), whatever its attention: what can matter.

    Of a layer's update PV Σ_i e_i κ(e_iᵀ KᵀQ e), all layers but the last use everything, since the examples' x and y
    are the next layer's keys, queries and values. The last one is read in the query's y alone: the rows of PV that give
    x are idle, unless an MLP reads x. And the one layer of a network that has no other sees a query whose y is 0: the
    rows of QᵀK that the query's y multiplies are idle. A shared layer uses what it uses at any of its places. With keys
    and queries `by_inputs`, the rows and columns of QᵀK that any y multiplies are idle in every layer; so they are
    where A and B alone are `free`, and of PV what is not B or the 1 of y.
    """
    width = inputs + outputs
    masks = []
    for n in range(layers):
        qk, pv = (torch.ones(width, width, dtype=torch.bool) for _ in range(2))
        if n == layers - 1 and not (shared and layers > 1):
            pv[:inputs] = mlp
            qk[inputs:] = layers > 1
        if by_inputs:
            qk[inputs:], qk[:, inputs:] = False, False
        if free != "all":
            qk[inputs:], qk[:, inputs:] = False, False
            pv[:inputs, inputs:], pv[inputs:, :inputs] = False, False
            if free == "A":
                pv[:inputs] = False
        masks.append((qk, pv))
    return masks
