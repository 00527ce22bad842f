"""Gradient descent and its relatives on whole batches of problems, each as good as it can be made.

All are one recursion from W₀ = 0 with matrices A and B per step: predictions move by a preconditioned step,
f(x) += N⁻¹ Σ r_i x_iᵀ A x, and all x lose curvature, x −= B N⁻¹ Σ x_i x_iᵀ A x (Ahn 2023, Theorem 4: it is what one
head of linear attention can do). GD has A = η I and B = 0, the same η at every step, or one of each step's own;
preconditioned GD a full A of each step's own; GD++ A = η I and B = (γ/η) I of each step's own; preconditioned GD++ has
both in full.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from demograd.synthetic.kernels import AttentionKind, activated
from demograd.synthetic.sequences import Sequences


@dataclass(frozen=True)
class Descent:
    """A descent of K steps, tuned or not."""

    preconditioners: Float[Tensor, "steps inputs inputs"]
    """A of each step."""
    curvature: Float[Tensor, "steps inputs inputs"]
    """B of each step."""
    context: int
    """N. As in an attention layer, it is part of the weights: with more examples than N, steps are larger."""

    def __call__(self, problems: Sequences) -> Float[Tensor, "sequences outputs"]:
        """Predictions of the queries' y, of problems with any number of examples."""
        x, residual, query = problems.x, problems.y, problems.query_x[..., None]
        predicted = torch.zeros_like(problems.query_y)
        for a, b in zip(self.preconditioners.to(x), self.curvature.to(x), strict=True):
            step = residual.mT @ x @ a / self.context
            curved = b @ (x.mT @ x) @ a / self.context
            predicted = predicted + (step @ query).squeeze(-1)
            residual = residual - x @ step.mT
            x, query = x - x @ curved.mT, query - curved @ query
        return predicted


def squared_error(
    predicted: Float[Tensor, "*batch outputs"], truth: Float[Tensor, "*batch outputs"]
) -> Float[Tensor, "*batch"]:
    """(ŷ − y)², summed over outputs."""
    return (predicted - truth).square().sum(dim=-1)


def best_gradient_descent(steps: int, problems: Sequences) -> Descent:
    """GD with the one step size that is best on these problems, by line search."""
    inputs = problems.x.shape[-1]
    everything = torch.eye(inputs, dtype=problems.x.dtype, device=problems.x.device).expand(steps, -1, -1)

    def descent(eta: float) -> Descent:
        return Descent(eta * everything, 0 * everything, problems.context)

    def loss(eta: float) -> float:
        return float(squared_error(descent(eta)(problems), problems.query_y).mean())

    # beyond 2 / (largest mean eigenvalue) GD diverges on average: there is no best step there
    largest = float(torch.linalg.eigvalsh((problems.x.mT @ problems.x / problems.context).mean(dim=0))[-1])
    found = minimize_scalar(loss, bounds=(0.0, 2.0 / largest), method="bounded", options={"xatol": 1e-5 / largest})
    return descent(float(found.x))


def best_descent(
    steps: int, problems: Sequences, *, preconditioned: bool, curved: bool, iterations: int = 100
) -> Descent:
    """Preconditioned GD, GD++, or both in one, with the matrices that are best on these problems.

    With neither it is GD with a rate of each step's own: as much of GD++ as is due to its rates alone. Optimised by
    L-BFGS from the best GD; give problems in float64.
    """
    start = best_gradient_descent(steps, problems)
    scalar = not preconditioned
    a = (start.preconditioners[:, 0, 0] if scalar else start.preconditioners).clone()
    b = torch.zeros_like(a)
    variables = [a, b] if curved else [a]

    def descent() -> Descent:
        whole_a, whole_b = (_as_matrices(each, problems.x.shape[-1]) for each in (a, b))
        return Descent(whole_a, whole_b, problems.context)

    minimise(lambda: squared_error(descent()(problems), problems.query_y).mean(), variables, iterations)
    return Descent(descent().preconditioners.detach(), descent().curvature.detach(), problems.context)


def functional_descent(
    problems: Sequences, steps: Sequence[float] | Float[Tensor, " steps"], kind: AttentionKind
) -> Float[Tensor, "sequences outputs"]:
    """f ← f + η Σ (y_i − f(x_i)) κ(x_i, ·) from f = 0 with an η of each step's own (Cheng 2024); κ is attention's."""
    within = activated(kind, problems.x @ problems.x.mT)
    to_query = activated(kind, problems.query_x[:, None] @ problems.x.mT)
    coefficients = torch.zeros_like(problems.y)
    for eta in torch.as_tensor(steps).to(problems.y):
        coefficients = coefficients + eta * (problems.y - within @ coefficients)
    return (to_query @ coefficients).squeeze(1)


def best_functional_steps(
    steps: int, problems: Sequences, kind: AttentionKind, iterations: int = 100
) -> Float[Tensor, " steps"]:
    """The step sizes of functional GD that are best on these problems, by L-BFGS from small ones."""
    largest = float(activated(kind, problems.x @ problems.x.mT).abs().sum(dim=-1).mean())
    etas = torch.full((steps,), 1.0 / largest, dtype=problems.y.dtype, device=problems.y.device)
    minimise(
        lambda: squared_error(functional_descent(problems, etas, kind), problems.query_y).mean(), [etas], iterations
    )
    return etas.detach()


def minimise(loss: Callable[[], Tensor], variables: list[Tensor], iterations: int) -> None:
    """L-BFGS with a strong Wolfe line search, in place."""
    for variable in variables:
        variable.requires_grad_()
    optimizer = torch.optim.LBFGS(variables, max_iter=iterations, tolerance_grad=1e-7, tolerance_change=1e-10,
                                  history_size=20, line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def _as_matrices(values: Tensor, size: int) -> Tensor:
    if values.dim() == 3:
        return values
    return values[:, None, None] * torch.eye(size, dtype=values.dtype, device=values.device)


def sequential_descent(problems: Sequences, step: float) -> Float[Tensor, "sequences outputs"]:
    """One pass of SGD over the examples in their order, one step of ½‖W x_i − y_i‖² each, from W = 0."""
    w = torch.zeros(len(problems.x), problems.y.shape[-1], problems.x.shape[-1]).to(problems.x)
    for i in range(problems.context):
        x, y = problems.x[:, i, :, None], problems.y[:, i, :, None]
        w = w - step * (w @ x - y) @ x.mT
    return (w @ problems.query_x[..., None]).squeeze(-1)


def best_sequential_step(problems: Sequences) -> float:
    """The step size of sequential SGD that is best on these problems, by line search."""
    largest = float(problems.x.square().sum(dim=-1).mean())  # a step of 1 / ‖x‖² fits its example exactly

    def loss(step: float) -> float:
        return float(squared_error(sequential_descent(problems, step), problems.query_y).mean())

    found = minimize_scalar(loss, bounds=(0.0, 2.0 / largest), method="bounded", options={"xatol": 1e-5 / largest})
    return float(found.x)
