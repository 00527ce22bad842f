"""Gradient descent in a space of functions, on whole batches of problems (Cheng 2024)."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.attention import AttentionKind, activated
from demograd.synthetic.sequences import Sequences
from demograd.synthetic.tuning import Errors, mean_square, minimise

BATCH = 8192
"""Problems whose errors are differentiated at once."""
STARTED_ON = 2048
"""Tuning begins on at most so many of the problems; the best beginning is chosen on the others."""
BEGINNINGS = (1.0, 0.25, 0.5, 2.0, 4.0)
"""Bandwidths from which the best one is looked for."""


def functional_descent(
    problems: Sequences,
    steps: Sequence[float] | Float[Tensor, " steps"],
    kind: AttentionKind,
    bandwidth: float | Float[Tensor, ""] = 1.0,
) -> Float[Tensor, "sequences outputs"]:
    """f ← f + η Σ (y_i − f(x_i)) κ(b x_i, ·) from f = 0 with an η of each step's own (Cheng 2024).

    κ is attention's. The paper's has b = 1; attention can have any `bandwidth` b, which scales QᵀK.
    """
    within = activated(kind, bandwidth * problems.x @ problems.x.mT)
    to_query = activated(kind, bandwidth * problems.query_x[:, None] @ problems.x.mT)
    coefficients = torch.zeros_like(problems.y)
    for eta in torch.as_tensor(steps, dtype=problems.y.dtype, device=problems.y.device):
        coefficients = coefficients + eta * (problems.y - within @ coefficients)
    return (to_query @ coefficients).squeeze(1)


def best_functional_steps(
    steps: int, problems: Sequences, kind: AttentionKind, *, any_bandwidth: bool = False
) -> tuple[Float[Tensor, " steps"], float]:
    """The step sizes of functional GD that are best on these problems, and its bandwidth: 1, or the best with them.

    Linear and ReLU attention take a factor of ⟨u, v⟩ for one of η, so theirs is 1 in any case.

    Raises:
        NotConverged: no optimum was found.
    """
    if not any_bandwidth or kind in ("linear", "relu"):
        errors = [partial(_errors, batch, kind) for batch in problems.batches(BATCH)]
        return minimise(errors, _beginning(steps, problems, kind, 1.0)).converged(), 1.0

    def with_bandwidth(on: Sequences) -> Errors:
        """Errors as a function of the steps and log b, since b is positive."""
        return lambda both: _errors(on, kind, both[:-1], both[-1].exp())

    part = min(STARTED_ON, len(problems.x) // 2)
    started_on, *others = [with_bandwidth(batch) for batch in problems.batches(part)]
    candidates = []
    for b in BEGINNINGS:
        log = torch.tensor([b]).to(problems.y).log()
        start = torch.cat([_beginning(steps, problems, kind, b), log])
        candidates.append(minimise([started_on], start, iterations=60).parameters)
    start = min(
        candidates,
        key=lambda both: float(mean_square([batch_errors(both) for batch_errors in others]).nan_to_num(torch.inf)),
    )
    optimum = minimise([with_bandwidth(batch) for batch in problems.batches(BATCH)], start).converged()
    return optimum[:-1], float(optimum[-1].exp())


def _errors(
    problems: Sequences, kind: AttentionKind, steps: Tensor, bandwidth: float | Tensor = 1.0
) -> Float[Tensor, " errors"]:
    return (functional_descent(problems, steps, kind, bandwidth) - problems.query_y).flatten()


def _beginning(steps: int, problems: Sequences, kind: AttentionKind, bandwidth: float) -> Float[Tensor, " steps"]:
    """Their order does not matter, so where all are equal no direction leads away from equality: they begin apart."""
    part = problems.x[:BATCH]
    largest = float(activated(kind, bandwidth * part @ part.mT).abs().sum(dim=-1).mean())
    return torch.linspace(2, 4, steps, dtype=problems.y.dtype, device=problems.y.device) / (3 * largest)
