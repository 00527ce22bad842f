"""The references of a study: each a learner with a label, tuned on problems that no network is trained or tested on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from demograd.study.synthetic.schema import Reference, SyntheticStudy
from demograd.synthetic import (
    Descent,
    KernelRegression,
    Learner,
    LinearSystem,
    World,
    best_descent,
    best_gradient_descent,
    best_mesa_layers,
    best_penalty,
    best_ridge,
    best_sequential_step,
    kernel_regression,
    least_squares,
    mesa_predictions,
    posterior_mean,
    regularised_least_squares,
    ridge,
    seeded,
    sequential_descent,
)


@dataclass(frozen=True)
class Tuned:
    """A reference, ready to predict."""

    kind: Reference
    steps: int | None
    """None: it takes none, or one per example."""
    tensors: dict[str, Tensor]
    """What was tuned."""
    learner: Learner | Any

    @property
    def label(self) -> str:
        """`GD, 3 steps`."""
        return self.kind if self.steps is None else f"{self.kind}, {self.steps} step{'s' * (self.steps > 1)}"


def is_stepwise(kind: Reference) -> bool:
    """Whether it takes as many steps as a network has layers."""
    return kind in ("GD", "preconditioned GD", "GD++", "preconditioned GD++", "mesa-optimiser")


def references_of(study: SyntheticStudy) -> Iterator[tuple[Reference, int | None]]:
    """Each reference with each number of steps that the study's networks have layers."""
    layers = sorted({network.layers for network in study.networks.values()})
    for kind in study.references:
        yield from ((kind, steps) for steps in layers) if is_stepwise(kind) else ((kind, None),)


def tune(study: SyntheticStudy, world: World | LinearSystem, kind: Reference, steps: int | None) -> dict[str, Tensor]:
    """What the reference needs to know of the world, in float64; empty where it needs nothing."""
    generator = seeded("tuning", 0, study.device)
    problems: Any = world.draw(study.tuning_sequences, study.context, generator, dtype=torch.float64)
    match kind:
        case "GD":
            assert steps
            found = best_gradient_descent(steps, problems)
        case "preconditioned GD" | "GD++" | "preconditioned GD++":
            assert steps
            start = kind.startswith("preconditioned")
            found = best_descent(steps, problems, preconditioned=start, curved=kind.endswith("++"))
        case "mesa-optimiser":
            assert steps
            etas, gammas = best_mesa_layers(steps, problems)
            return {"steps": etas, "curvature": gammas}
        case "ridge":
            return {"penalty": best_ridge(problems)}
        case "regularised least squares":
            return {"penalty": torch.tensor(best_penalty(problems), dtype=torch.float64)}
        case "SGD":
            return {"step": torch.tensor(best_sequential_step(problems), dtype=torch.float64)}
        case _:
            return {}
    return {"preconditioners": found.preconditioners, "curvature": found.curvature,
            "context": torch.tensor(found.context)}  # fmt: skip


def tuned(world: World | LinearSystem, kind: Reference, steps: int | None, tensors: dict[str, Tensor]) -> Tuned:
    """The reference with what was tuned put in."""
    learner: Any
    match kind:
        case "GD" | "preconditioned GD" | "GD++" | "preconditioned GD++":
            learner = Descent(tensors["preconditioners"], tensors["curvature"], int(tensors["context"]))
        case "mesa-optimiser":
            learner = partial(mesa_predictions, steps=tensors["steps"], curvature=tensors["curvature"])
        case "ridge":
            assert not isinstance(world, LinearSystem)
            learner = partial(ridge, penalty=tensors["penalty"] * torch.eye(world.dimension))
        case "regularised least squares":
            learner = partial(regularised_least_squares, penalty=float(tensors["penalty"]))
        case "SGD":
            learner = partial(sequential_descent, step=float(tensors["step"]))
        case "least squares":
            learner = least_squares
        case "kernel regression":
            assert isinstance(world, KernelRegression)
            learner = partial(kernel_regression, kernel=world.kernel, noise_variance=world.noise**2)
        case "Bayes":
            assert not isinstance(world, LinearSystem)
            learner = partial(posterior_mean, world)
    return Tuned(kind, steps, tensors, learner)
