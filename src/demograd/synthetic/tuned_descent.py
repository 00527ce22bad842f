"""Descents as good as they can be made: tuned on problems of the world, so that a comparison with them is fair."""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Generator, Tensor

from demograd.synthetic.descent import (
    Descent,
    descended,
    descended_along_axes,
    moments,
    sequential_descent,
    squared_error,
)
from demograd.synthetic.sequences import Sequences
from demograd.synthetic.tuning import Minimum, mean_square, minimise

STARTS = 8
"""Tuning begins at so many points."""
ROUNDS = ((1024, 3), (8192, 1))
"""On at most so many of the problems each is tuned for a while; so many go on, those that are best on the others."""
BATCH = 4096
"""Problems whose errors are differentiated at once."""
NEAR = 0.3
"""Standard deviation of a start's entries about those of the best GD, relative to its rate."""


class _Summary(NamedTuple):
    """All that a descent knows of problems, and what it is to predict."""

    squares: Tensor
    """`[sequences, inputs, inputs]`; or its eigenvalues, `[sequences, inputs]`, and all x along its axes."""
    products: Tensor
    query_x: Tensor
    query_y: Tensor


def best_gradient_descent(steps: int, problems: Sequences) -> Descent:
    """GD with the one step size that is best on these problems, by line search."""
    summary = _summary_along_axes(problems)

    def loss(eta: float) -> float:
        etas = torch.full((steps,), eta).to(summary.squares)
        predicted = descended_along_axes(etas, 0 * etas, summary.squares, summary.products, summary.query_x)
        return float(squared_error(predicted, summary.query_y).mean())

    # beyond 2 / (largest mean eigenvalue) GD diverges on average: there is no best step there
    largest = float(torch.linalg.eigvalsh((problems.x.mT @ problems.x / problems.context).mean(dim=0))[-1])
    minimum = minimize_scalar(loss, bounds=(0.0, 2.0 / largest), method="bounded", options={"xatol": 1e-5 / largest})
    everything = torch.eye(problems.x.shape[-1], dtype=problems.x.dtype, device=problems.x.device)
    preconditioners = float(minimum.x) * everything.expand(steps, -1, -1)
    return Descent(preconditioners, 0 * preconditioners, problems.context)


def best_descent(
    steps: int, problems: Sequences, *, preconditioned: bool, curved: bool, shared: bool = False
) -> Descent:
    """Preconditioned GD, GD++, or both in one, with the matrices that are best on these problems.

    With neither it is GD with a rate of each step's own: as much of GD++ as is due to its rates alone. `shared`: every
    step has the same A and B, as a network has whose layers are shared. There are several optima: tuning begins at
    the best GD and at points about it, on a part of the problems, goes on from those places that are best on the
    others, and ends on all of them. Give problems in float64, and many: with curvature, predictions are polynomials in
    x of a degree that trebles with each step, so that normal inputs have tails which a small sample does not show
    (`held_out` says how much worse the descent is on problems that it was not tuned on).

    Raises:
        NotConverged: the best place found is no optimum.
    """
    different, inputs = 1 if shared else steps, problems.x.shape[-1] if preconditioned else 1

    def matrices(parameters: Float[Tensor, "*sequences parameters"]) -> tuple[Tensor, Tensor]:
        """A and B of each step; 1 × 1 where they are multiples of I."""
        parts = parameters.unflatten(-1, (1 + curved, different, inputs, inputs))
        a, *b = parts.expand(*parts.shape[:-3], steps, -1, -1).unbind(-4)
        return a, b[0] if curved else torch.zeros_like(a)

    def errors(on: _Summary, parameters: Tensor) -> Tensor:
        a, b = matrices(parameters)
        if preconditioned:
            predicted = descended(a, b, on.squares, on.products, on.query_x)
        else:
            predicted = descended_along_axes(a[..., 0, 0], b[..., 0, 0], on.squares, on.products, on.query_x)
        return (predicted - on.query_y).flatten()

    def jacobian(on: _Summary, parameters: Tensor) -> Tensor:
        """Each problem with parameters of its own, all equal: one pass backward for each output gives all rows."""
        own = parameters.expand(len(on.query_x), -1).clone().requires_grad_()
        of_outputs = errors(on, own).unflatten(0, on.query_y.shape).sum(dim=0)
        rows = [torch.autograd.grad(output, own, retain_graph=True)[0] for output in of_outputs]
        return torch.stack(rows, dim=1).flatten(0, 1)

    def tuned(start: Tensor, on: list[_Summary], iterations: int) -> Minimum:
        return minimise(
            [partial(errors, batch) for batch in on], start, [partial(jacobian, batch) for batch in on], iterations
        )

    def loss(on: list[_Summary], parameters: Tensor) -> float:
        return float(mean_square([errors(batch, parameters) for batch in on]).nan_to_num(torch.inf))

    summarise = _summary if preconditioned else _summary_along_axes
    rate = best_gradient_descent(steps, problems).preconditioners[0, 0, 0]
    start = (rate * torch.eye(inputs, dtype=problems.x.dtype, device=problems.x.device)).expand(different, -1, -1)
    generator, candidates = Generator().manual_seed(0), []
    for n in range(STARTS):
        away = NEAR * rate * torch.randn(start.shape, generator=generator, dtype=start.dtype).to(start)
        a = start + away if n else start
        candidates.append(torch.stack([a, torch.zeros_like(a)][: 1 + curved]).flatten())
    for sequences, going_on in ROUNDS:
        part, *others = [summarise(batch) for batch in problems.batches(min(sequences, len(problems.x) // 2))]
        candidates = sorted((tuned(at, [part], 40).parameters for at in candidates), key=partial(loss, others))[
            :going_on
        ]
    batches = [summarise(batch) for batch in problems.batches(BATCH)]
    a, b = matrices(tuned(candidates[0], batches, 300).converged())
    everything = torch.eye(problems.x.shape[-1], dtype=problems.x.dtype, device=problems.x.device)
    if not preconditioned:
        a, b = a * everything, b * everything
    return Descent(a.clone(), b.clone(), problems.context)


def _summary(problems: Sequences) -> _Summary:
    return _Summary(*moments(problems, problems.context), problems.query_x, problems.query_y)


def _summary_along_axes(problems: Sequences) -> _Summary:
    squares, products = moments(problems, problems.context)
    eigenvalues, axes = torch.linalg.eigh(squares)
    return _Summary(eigenvalues, products @ axes, (problems.query_x[:, None] @ axes).squeeze(1), problems.query_y)


def best_sequential_step(problems: Sequences) -> float:
    """The step size of sequential SGD that is best on these problems, by line search."""
    largest = float(problems.x.square().sum(dim=-1).mean())  # a step of 1 / ‖x‖² fits its example exactly

    def loss(step: float) -> float:
        return float(squared_error(sequential_descent(problems, step), problems.query_y).mean())

    minimum = minimize_scalar(loss, bounds=(0.0, 2.0 / largest), method="bounded", options={"xatol": 1e-5 / largest})
    return float(minimum.x)
