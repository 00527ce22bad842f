"""Attention of any kind whose layers are steps of gradient descent in a space of functions (Cheng 2024).

f ← f + η Σ_i (y_i − f(x_i)) κ(b x_i, ·), from f = 0, with b = 1 in the paper. Linear, exponential and (on few points)
ReLU attention have a symmetric κ, so with a positive semidefinite one this is the gradient of ½ Σ (f(x_i) − y_i)² in
its Hilbert space. Softmax's κ(x_i, x) = exp⟨x_i, x⟩ / Σ_k exp⟨x_k, x⟩ is not symmetric: there it is a step, and no such
gradient. The paper's own ∇_f omits a factor −2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from demograd.synthetic.attention import AttentionKind, AttentionLayer, as_tokens, predictions, run_layers
from demograd.synthetic.sequences import Sequences


def functional_descent_layers(
    steps: Sequence[float], inputs: int, outputs: int = 1, bandwidth: float = 1.0
) -> list[AttentionLayer]:
    """One layer for each η: W_K = diag(I, 0), W_Q = diag(b I, 0) with b the bandwidth, W_V = diag(0, −I), P = η I.

    **Source:** Cheng 2024, where b = 1.
    """
    look_at_x = torch.tensor([1.0] * inputs + [0.0] * outputs, dtype=torch.float64).diag()
    value = torch.tensor([0.0] * inputs + [-1.0] * outputs, dtype=torch.float64).diag()
    everything = torch.eye(inputs + outputs, dtype=torch.float64)
    key, query = look_at_x[None], bandwidth * look_at_x[None]
    return [AttentionLayer(key, query, value[None], eta * everything[None]) for eta in steps]


def functional_descent_error(
    layers: Sequence[AttentionLayer],
    problems: Sequences,
    steps: Sequence[float],
    kind: AttentionKind,
    bandwidth: float = 1.0,
) -> float:
    """How far the layers' predictions are from functional GD, at most.

    f is kept as what it is, a sum of coefficients times κ(x_i, ·), and evaluated where it is needed, with κ of each
    pair of points written out.
    """
    outputs = problems.y.shape[-1]
    coefficients = torch.zeros_like(problems.y)

    def f(points: Tensor) -> Tensor:
        return _kappa(kind, bandwidth * problems.x, points) @ coefficients

    for eta in steps:
        coefficients = coefficients + eta * (problems.y - f(problems.x))
    target = f(problems.query_x[:, None]).squeeze(1)
    predicted = predictions(run_layers(as_tokens(problems), layers, kind), outputs)
    return float((predicted - target).abs().max())


def _kappa(kind: AttentionKind, examples: Tensor, points: Tensor) -> Tensor:
    """κ(x_i, x) of each point x (rows) and example x_i (columns)."""
    products = torch.einsum("sni,smi->smn", examples, points)
    match kind:
        case "linear":
            return products
        case "relu":
            return torch.where(products > 0, products, 0.0)
        case "exponential":
            return torch.e**products
        case "softmax":
            return torch.e**products / (torch.e**products).sum(dim=-1, keepdim=True)
