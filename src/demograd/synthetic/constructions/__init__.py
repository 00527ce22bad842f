"""Theorems as matrices: each construction, and a check that it does what its theorem says.

`CONSTRUCTIONS` is the table: each entry draws random instances of all sizes in float64 and says how far off it was.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from demograd.synthetic.attention import AttentionKind
from demograd.synthetic.constructions.copying import behind_positions, copying_error, copying_layer
from demograd.synthetic.constructions.dual_form import DualForm, dual_form, dual_form_error
from demograd.synthetic.constructions.functional import functional_descent_error, functional_descent_layers
from demograd.synthetic.constructions.gradient_descent import (
    gd_plus_plus_error,
    gd_plus_plus_layers,
    gradient_descent_error,
    gradient_descent_layers,
)
from demograd.synthetic.constructions.mesa import (
    mesa_error,
    mesa_layer,
    mesa_layer_error,
    mesa_layers,
    system_tokens,
)
from demograd.synthetic.constructions.preconditioned import (
    best_preconditioner,
    descent_error,
    descent_layers,
    expected_loss,
    preconditioned_error,
    preconditioned_layer,
)
from demograd.synthetic.constructions.softmax_pair import softmax_pair
from demograd.synthetic.descent import Descent
from demograd.synthetic.sequences import Sequences, Trajectories

__all__ = [
    "CONSTRUCTIONS",
    "Construction",
    "DualForm",
    "behind_positions",
    "best_preconditioner",
    "copying_error",
    "copying_layer",
    "descent_error",
    "descent_layers",
    "dual_form",
    "dual_form_error",
    "expected_loss",
    "functional_descent_error",
    "functional_descent_layers",
    "gd_plus_plus_error",
    "gd_plus_plus_layers",
    "gradient_descent_error",
    "gradient_descent_layers",
    "mesa_error",
    "mesa_layer",
    "mesa_layer_error",
    "mesa_layers",
    "preconditioned_error",
    "preconditioned_layer",
    "random_problems",
    "softmax_pair",
    "system_tokens",
]


@dataclass(frozen=True)
class Construction:
    """A theorem that says which matrices do what."""

    claim: str
    source: str
    error: Callable[[int], float]
    """For the seed of a random instance, the largest difference between the matrices and what they should do."""


def random_problems(seed: int, *, outputs: int | None = None) -> Sequences:
    """Three problems of random sizes, in float64."""
    generator = Generator().manual_seed(seed)
    inputs, context = _size(generator, 1, 7), _size(generator, 1, 12)
    outputs = _size(generator, 1, 4) if outputs is None else outputs
    x, y = _normal(generator, 3, context + 1, inputs), _normal(generator, 3, context + 1, outputs)
    return Sequences(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])


def _gradient_descent(seed: int, steps: int) -> float:
    problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
    etas = (0.5 * torch.rand(steps, generator=generator)).tolist()
    w0 = _normal(generator, problems.y.shape[-1], problems.x.shape[-1])
    layers = gradient_descent_layers(etas, problems.context, w0)
    return gradient_descent_error(layers, problems, etas, w0)


def _gd_plus_plus(seed: int) -> float:
    problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
    steps = _size(generator, 1, 4)
    etas = (0.5 * torch.rand(steps, generator=generator)).tolist()
    gammas = (0.1 * torch.rand(steps, generator=generator) / problems.context).tolist()
    sizes = problems.context, problems.x.shape[-1], problems.y.shape[-1]
    return gd_plus_plus_error(gd_plus_plus_layers(etas, gammas, *sizes), problems, etas, gammas)


def _preconditioned(seed: int) -> float:
    problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
    root = _normal(generator, problems.x.shape[-1], problems.x.shape[-1])
    covariance = root @ root.mT + 0.1 * torch.eye(len(root))
    errors = []
    for task in ("identity", "inverse"):
        layer = preconditioned_layer(
            best_preconditioner(covariance, problems.context, task), problems.context, problems.y.shape[-1]
        )
        errors.append(preconditioned_error(layer, problems, covariance, task))
    return float(torch.tensor(errors).max())


def _preconditioned_gd_plus_plus(seed: int) -> float:
    problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
    size = _size(generator, 1, 4), problems.x.shape[-1], problems.x.shape[-1]
    a, b = (0.3 / size[-1] * _normal(generator, *size) for _ in range(2))
    descent = Descent(a, b, problems.context)
    return descent_error(descent_layers(descent, problems.y.shape[-1]), problems, descent)


def _functional(kind: AttentionKind) -> Callable[[int], float]:
    def error(seed: int) -> float:
        problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
        problems = Sequences(*(points / points.norm(dim=-1, keepdim=True) for points in vars(problems).values()))
        etas = (0.3 * torch.rand(_size(generator, 1, 4), generator=generator) / problems.context).tolist()
        bandwidth = 0.5 + 1.5 * float(torch.rand(1, generator=generator))
        layers = functional_descent_layers(etas, problems.x.shape[-1], problems.y.shape[-1], bandwidth)
        return functional_descent_error(layers, problems, etas, kind, bandwidth)

    return error


def _dual_form(*, with_momentum: bool) -> Callable[[int], float]:
    def error(seed: int) -> float:
        problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
        momentum = 0.99 * float(torch.rand(1, generator=generator)) if with_momentum else 0.0
        x, y = problems.x[0] / problems.x.shape[-1] ** 0.5, problems.y[0]
        w0, rate = _normal(generator, y.shape[-1], x.shape[-1]), 0.1 * float(torch.rand(1, generator=generator))
        dual = dual_form(w0, x, y, rate, momentum)
        return dual_form_error(dual, w0, x, y, rate, momentum, problems.query_x[0])

    return error


def _copying(kind: AttentionKind, sharpness: float) -> Callable[[int], float]:
    def error(seed: int) -> float:
        problems, generator = random_problems(seed), Generator().manual_seed(seed + 1)
        eta, outputs = 0.5 * float(torch.rand(1, generator=generator)), problems.y.shape[-1]
        w0 = torch.zeros(outputs, problems.x.shape[-1], dtype=torch.float64)
        [step], tokens = gradient_descent_layers([eta], problems.context, w0), 2 * problems.context + 1
        copying = copying_layer(tokens, problems.x.shape[-1], outputs, sharpness)
        return copying_error([copying, behind_positions(step, tokens)], problems, kind, eta)

    return error


def _mesa(seed: int) -> float:
    generator = Generator().manual_seed(seed)
    state, times, layers = _size(generator, 1, 5), _size(generator, 2, 9), _size(generator, 1, 4)
    trajectories = Trajectories(_normal(generator, 2, times, state))
    etas, gammas = (0.3 * torch.rand(layers, generator=generator).double() for _ in range(2))
    built = mesa_layers(etas, gammas, state)
    return mesa_error(built, trajectories, etas.tolist(), gammas.tolist())


def _mesa_layer(seed: int) -> float:
    generator = Generator().manual_seed(seed)
    state, times = _size(generator, 1, 5), _size(generator, 2, 9)
    trajectories = Trajectories(_normal(generator, 2, times, state))
    penalty = 0.1 + float(torch.rand(1, generator=generator))
    return mesa_layer_error(mesa_layer(penalty, state), trajectories, penalty)


def _size(generator: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (), generator=generator))


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


_COPYING: tuple[tuple[AttentionKind, float], ...] = (("linear", 1.0), ("softmax", 50.0))
CONSTRUCTIONS: dict[str, Construction] = {
    "one GD step": Construction(
        "One layer of linear self-attention changes every y exactly as a GD step from any W₀",
        "von Oswald 2023a, Proposition 1",
        lambda seed: _gradient_descent(seed, 1),
    ),
    "GD steps": Construction(
        "K layers are K steps, from any W₀",
        "von Oswald 2023a, §3",
        lambda seed: _gradient_descent(seed, 1 + seed % 4),
    ),
    "GD++": Construction(
        "The same layers can correct curvature: x and y move together", "von Oswald 2023a, §3", _gd_plus_plus
    ),
    "best preconditioned step": Construction(
        "The best layer is a step preconditioned by ((n+1)/n Σ + tr Σ/n I)⁻¹; for w ~ N(0, Σ⁻¹), by n/(n+1+d) Σ⁻¹",
        "Ahn 2023, Theorem 1",
        _preconditioned,
    ),
    "preconditioned GD++": Construction(
        "Layers of one head are steps with matrices A and B of their own, whatever these are",
        "Ahn 2023, Theorem 4",
        _preconditioned_gd_plus_plus,
    ),
    **{
        f"functional GD, {kind}": Construction(
            f"Layers of {kind} attention are steps of GD in a space of functions, with any bandwidth",
            "Cheng 2024",
            _functional(kind),
        )
        for kind in ("linear", "relu", "exponential", "softmax")
    },
    **{
        f"copying layer, {kind}": Construction(
            f"A layer of {kind} attention makes tokens (x, y) of a plain sequence x, y, …, and the next is a GD step",
            "von Oswald 2023a, §4",
            _copying(kind, sharpness),
        )
        for kind, sharpness in _COPYING
    },
    "dual form": Construction(
        "A linear layer after GD is the layer before plus linear attention over its training",
        "Irie 2022; Dai 2023",
        _dual_form(with_momentum=False),
    ),
    "dual form with momentum": Construction(
        "So it is with momentum, each step weighted by how much of it has been applied",
        "ours; Dai 2023 has momentum attention",
        _dual_form(with_momentum=True),
    ),
    "mesa-optimiser": Construction(
        "Causal layers learn a linear system's W: C p(H) s, preconditioned GD",
        "von Oswald 2023b, Propositions 1 and 2",
        _mesa,
    ),
    "mesa-layer": Construction(
        "One mesa-layer learns a linear system’s W by least squares with a penalty, state by state",
        "von Oswald 2023b, the mesa-layer",
        _mesa_layer,
    ),
}
