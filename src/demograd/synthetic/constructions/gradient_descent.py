"""Linear self-attention whose layers are steps of gradient descent on the examples, or of GD++ (von Oswald 2023a).

The loss is ½N⁻¹ Σ‖W x_i − y_i‖². Tokens are (x_i, y_i) and the query (x, −W₀x); after the last layer the query's last
components are −W x with the W that GD reaches.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.attention import AttentionLayer, as_tokens, predictions, run_layers
from demograd.synthetic.sequences import Sequences


def gradient_descent_layers(
    steps: Sequence[float], context: int, w0: Float[Tensor, "outputs inputs"]
) -> list[AttentionLayer]:
    """One layer for each step size η, all from the same W₀: what GD has learned so far is in the tokens' y.

    W_K = W_Q = diag(I, 0), W_V = [[0, 0], [W₀, −I]], P = (η/N) I.

    **Source:** von Oswald 2023a, Proposition 1, and §3, which stacks it.
    """
    outputs, inputs = w0.shape
    look_at_x = _diagonal(inputs, outputs, x=1.0, y=0.0).to(w0)
    value = _diagonal(inputs, outputs, x=0.0, y=-1.0).to(w0)
    value[inputs:, :inputs] = w0
    everything = torch.eye(inputs + outputs, dtype=w0.dtype, device=w0.device)
    return [_one_head(look_at_x, look_at_x, value, eta / context * everything) for eta in steps]


def gd_plus_plus_layers(
    steps: Sequence[float], curvature: Sequence[float], context: int, inputs: int, outputs: int = 1
) -> list[AttentionLayer]:
    """One layer for each η and γ: a step from W₀ = 0, while all x, the query's too, lose curvature.

    y moves as in GD, and x_j ← x_j − γ XXᵀ x_j, both from the x before the layer: W_V = diag(−γN I, −η I), P = I/N.

    **Source:** von Oswald 2023a, §3 and Appendix A.10.
    """
    look_at_x = _diagonal(inputs, outputs, x=1.0, y=0.0)
    everything = torch.eye(inputs + outputs, dtype=torch.float64)
    return [
        _one_head(look_at_x, look_at_x, _diagonal(inputs, outputs, x=-gamma * context, y=-eta), everything / context)
        for eta, gamma in zip(steps, curvature, strict=True)
    ]


def gradient_descent_error(
    layers: Sequence[AttentionLayer], problems: Sequences, steps: Sequence[float], w0: Float[Tensor, "outputs inputs"]
) -> float:
    """How far the layers are from GD, at most: in every example's y, layer by layer, and in the prediction."""
    tokens = as_tokens(problems, query_y=-problems.query_x @ w0.mT)
    w = w0.expand(len(problems.x), *w0.shape)
    worst = torch.zeros((), dtype=torch.float64)
    for layer, eta in zip(layers, steps, strict=True):
        tokens = run_layers(tokens, [layer])
        residual = problems.x @ w.mT - problems.y
        w = w - eta / problems.context * residual.mT @ problems.x
        still_to_explain = problems.y - problems.x @ (w - w0).mT
        predicted = (w @ problems.query_x[..., None]).squeeze(-1)
        outputs = problems.y.shape[-1]
        worst = _larger(
            worst,
            tokens[:, :-1, -outputs:] - still_to_explain,
            predictions(tokens, outputs) - predicted,
            tokens[:, :-1, :-outputs] - problems.x,
        )
    return float(worst)


def gd_plus_plus_error(
    layers: Sequence[AttentionLayer], problems: Sequences, steps: Sequence[float], curvature: Sequence[float]
) -> float:
    """How far the layers' x and y, and their prediction, are from GD++ done sequence by sequence, at most.

    y moves along the gradient that autograd finds for ½N⁻¹ Σ‖W x_i − y_i‖² at W = 0, x token by token.
    """
    tokens = run_layers(as_tokens(problems), layers)
    outputs, worst = problems.y.shape[-1], torch.zeros((), dtype=torch.float64)
    for s in range(len(problems.x)):
        examples, query, y = [*problems.x[s]], problems.query_x[s], problems.y[s]
        learned = torch.zeros_like(problems.query_y[s])
        for eta, gamma in zip(steps, curvature, strict=True):
            w = torch.zeros(outputs, len(query), dtype=query.dtype, requires_grad=True)
            loss = sum((w @ x - target).square().sum() for x, target in zip(examples, y, strict=True))
            (gradient,) = torch.autograd.grad(0.5 / problems.context * loss, w)
            learned = learned - eta * gradient @ query
            y = torch.stack([target + eta * gradient @ x for x, target in zip(examples, y, strict=True)])
            xx = torch.stack(examples, dim=1) @ torch.stack(examples)
            *examples, query = (x - gamma * xx @ x for x in [*examples, query])
        worst = _larger(
            worst,
            tokens[s, :, :-outputs] - torch.stack([*examples, query]),
            tokens[s, :-1, -outputs:] - y,
            predictions(tokens, outputs)[s] - learned,
        )
    return float(worst)


def _one_head(key: Tensor, query: Tensor, value: Tensor, projection: Tensor) -> AttentionLayer:
    return AttentionLayer(key[None], query[None], value[None], projection[None])


def _diagonal(inputs: int, outputs: int, *, x: float, y: float) -> Tensor:
    return torch.tensor([x] * inputs + [y] * outputs, dtype=torch.float64).diag()


def _larger(worst: Tensor, *differences: Tensor) -> Tensor:
    """The largest of all; NaN if any is, which Python's `max` would pass over."""
    return torch.stack([worst, *(difference.abs().max() for difference in differences)]).max()
