"""The one layer of linear attention that is best on average: a preconditioned step of gradient descent (Ahn 2023).

Problems have n examples with x ~ N(0, Σ) and y = ⟨w, x⟩, from W₀ = 0.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.attention import AttentionLayer, as_tokens, predictions, run_layers
from demograd.synthetic.descent import Descent
from demograd.synthetic.sequences import Sequences

Task = Literal["identity", "inverse"]
"""Covariance of w: I, or Σ⁻¹."""


def best_preconditioner(
    covariance: Float[Tensor, "inputs inputs"], context: int, task: Task = "identity"
) -> Float[Tensor, "inputs inputs"]:
    """The A for which ŷ = n⁻¹ Σ y_i x_iᵀ A x is best: ((n+1)/n Σ + tr Σ/n I)⁻¹, or n/(n+1+d) Σ⁻¹.

    **Source:** Ahn 2023, Theorem 1, and the same by its method for w ~ N(0, Σ⁻¹).
    """
    n, d = context, len(covariance)
    if task == "inverse":
        return n / (n + 1 + d) * torch.linalg.inv(covariance)
    everything = torch.eye(d, dtype=covariance.dtype, device=covariance.device)
    return torch.linalg.inv((n + 1) / n * covariance + covariance.trace() / n * everything)


def preconditioned_layer(
    preconditioner: Float[Tensor, "inputs inputs"],
    context: int,
    outputs: int = 1,
    curvature: Float[Tensor, "inputs inputs"] | None = None,
) -> AttentionLayer:
    """W_K = diag(I, 0), W_Q = diag(A, 0), W_V = diag(−B, −I), P = I/n: one step from W₀ = 0; B is 0 if not given.

    **Source:** Ahn 2023, Theorems 1 and 4.
    """
    inputs = len(preconditioner)
    width = inputs + outputs
    key, query, value = (preconditioner.new_zeros(width, width) for _ in range(3))
    key[:inputs, :inputs] = torch.eye(inputs)
    query[:inputs, :inputs] = preconditioner
    value[inputs:, inputs:] = -torch.eye(outputs)
    if curvature is not None:
        value[:inputs, :inputs] = -curvature
    projection = torch.eye(width, dtype=preconditioner.dtype, device=preconditioner.device) / context
    return AttentionLayer(key[None], query[None], value[None], projection[None])


def descent_layers(descent: Descent, outputs: int = 1) -> list[AttentionLayer]:
    """A layer for each step of a descent: preconditioned GD, GD++ or both, as weights of attention."""
    return [
        preconditioned_layer(a, descent.context, outputs, curvature=b)
        for a, b in zip(descent.preconditioners, descent.curvature, strict=True)
    ]


def descent_error(layers: Sequence[AttentionLayer], problems: Sequences, descent: Descent) -> float:
    """How far the layers' predictions are from the descent's, which knows the examples by their moments alone."""
    predicted = predictions(run_layers(as_tokens(problems), layers), problems.y.shape[-1])
    return float((predicted - descent(problems)).abs().max())


def expected_loss(
    preconditioner: Float[Tensor, "inputs inputs"],
    covariance: Float[Tensor, "inputs inputs"],
    context: int,
    task: Task = "identity",
) -> Float[Tensor, ""]:
    """E (ŷ − y)² over problems, in closed form: with S = n⁻¹ Σ x_i x_iᵀ, it is E tr Λ (SA − I) Σ (SA − I)ᵀ, Λ = Cov w.

    E S M S = (n+1)/n Σ M Σ + n⁻¹ tr(MΣ) Σ for Gaussian x and symmetric M.
    """
    a, sigma, n = preconditioner, covariance, context
    spread = a @ sigma @ a.mT
    of_task = torch.eye(len(sigma), dtype=sigma.dtype, device=sigma.device)
    if task == "inverse":
        of_task = torch.linalg.inv(sigma)
    squared = (n + 1) / n * sigma @ spread @ sigma + (spread @ sigma).trace() / n * sigma
    return (of_task @ (squared - 2 * sigma @ a @ sigma + sigma)).trace()


def preconditioned_error(
    layer: AttentionLayer,
    problems: Sequences,
    covariance: Float[Tensor, "inputs inputs"],
    task: Task = "identity",
) -> float:
    """The larger of two errors: the layer's predictions against the preconditioned step, and the gradient of the
    expected loss by A, relative to that at A = 0, which vanishes at the optimum."""
    best = best_preconditioner(covariance, problems.context, task)
    step = problems.y.mT @ problems.x / problems.context @ best  # from W = 0 the gradient is −n⁻¹ Σ y_i x_iᵀ
    predicted = (step @ problems.query_x[..., None]).squeeze(-1)
    outputs = problems.y.shape[-1]
    off = (predictions(run_layers(as_tokens(problems), [layer]), outputs) - predicted).abs().max()
    inputs = len(covariance)
    of_layer = layer.query[0, :inputs, :inputs]
    slopes = [_slope(a, covariance, problems.context, task) for a in (of_layer, torch.zeros_like(of_layer))]
    return float(torch.stack([off, slopes[0].norm() / slopes[1].norm()]).max())


def _slope(a: Tensor, covariance: Tensor, context: int, task: Task) -> Tensor:
    a = a.detach().requires_grad_()
    return torch.autograd.grad(expected_loss(a, covariance, context, task), a)[0]
