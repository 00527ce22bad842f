"""A layer that makes tokens (x_i, y_i) out of a plain sequence x_1, y_1, x_2, y_2, …, so that the next one can be a GD
step (von Oswald 2023a, §4: what is called an induction head does this too).

Tokens are (p_1, x_1, 0), (p_2, 0, y_1), (p_3, x_2, 0), …, with p_t the position; the query (p, x, 0) comes last. Each
token looks at the one behind it and takes over its y: an x that of its own example, a y nothing, for behind it is an x.
The last token looks at the first, an x, for what looks at nothing takes a mean under softmax.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.attention import AttentionKind, AttentionLayer, as_tokens, attended, predictions
from demograd.synthetic.sequences import Sequences


def plain_tokens(
    problems: Sequences, positions: Float[Tensor, "tokens position"]
) -> Float[Tensor, "sequences tokens width"]:
    """The plain sequence of each problem, x and y in turn, each behind its position; the query is the last of them."""
    pairs = as_tokens(problems)
    inputs = problems.x.shape[-1]
    is_x = torch.arange(pairs.shape[-1], device=pairs.device) < inputs
    in_turn = torch.stack([pairs * is_x, pairs * ~is_x], dim=2).flatten(1, 2)[:, :-1]  # behind the query there is no y
    return torch.cat([positions.to(in_turn).expand(len(in_turn), -1, -1), in_turn], dim=-1)


def sinusoids(tokens: int, width: int) -> Float[Tensor, "tokens width"]:
    """Positions that are the same for any number of tokens: sines and cosines in turn (Vaswani 2017, §3.5)."""
    angles = torch.arange(tokens)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def copying_layer(tokens: int, inputs: int, outputs: int = 1, sharpness: float = 1.0) -> AttentionLayer:
    """The layer for so many tokens, whose positions are unit vectors.

    Its attention is linear with sharpness 1, or softmax with one from which e to its power is nothing but rounding.

    **Source:** von Oswald 2023a, §4, which trains such a layer; these weights are ours.
    """
    width = tokens + inputs + outputs
    key, query, value = torch.zeros(3, width, width, dtype=torch.float64)
    key[:tokens, :tokens] = torch.eye(tokens)
    query[:tokens, :tokens] = sharpness * torch.eye(tokens).roll(1, dims=0)  # position t asks for t + 1
    value[-outputs:, -outputs:] = torch.eye(outputs)
    return AttentionLayer(key[None], query[None], value[None], torch.eye(width, dtype=torch.float64)[None])


def behind_positions(layer: AttentionLayer, positions: int) -> AttentionLayer:
    """The same layer on tokens that begin with a position of so many components, which it neither reads nor changes."""
    padding = (positions, 0, positions, 0)
    return AttentionLayer(*(torch.nn.functional.pad(matrix, padding) for matrix in layer.matrices()))


def copying_error(layers: Sequence[AttentionLayer], problems: Sequences, kind: AttentionKind, eta: float) -> float:
    """How far the first of two layers, of this kind, is from making (x_i, y_i), and the second, linear, from a GD step.

    Also whether anything of a y's own token could be taken for an example: its x must be 0.
    """
    copying, step = layers
    places, outputs = 2 * problems.context + 1, problems.y.shape[-1]
    tokens = attended(plain_tokens(problems, torch.eye(places)), copying, kind)
    w = torch.zeros(len(problems.x), outputs, problems.x.shape[-1]).to(problems.x)
    for i in range(problems.context):
        w = w + eta / problems.context * problems.y[:, i, :, None] * problems.x[:, i, None]
    predicted = predictions(attended(tokens, step), outputs)
    off = (
        tokens[:, ::2, places:] - as_tokens(problems),
        tokens[:, 1::2, places:-outputs],
        predicted - (w @ problems.query_x[..., None]).squeeze(-1),
    )
    return float(torch.stack([difference.abs().max() for difference in off]).max())
