"""The references of a study: each a learner with a label, tuned on problems that no network is trained or tested on."""

from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from demograd.study.store.folder import CellRecord
from demograd.study.synthetic.spec import Network, Reference, SyntheticStudy
from demograd.synthetic import (
    AttentionKind,
    Descent,
    HeldOut,
    KernelRegression,
    LinearSystem,
    NotConverged,
    Sequences,
    Trajectories,
    World,
    best_descent,
    best_functional_steps,
    best_gradient_descent,
    best_mesa_layers,
    best_penalty,
    best_ridge,
    best_sequential_step,
    functional_descent,
    held_out,
    kernel_regression,
    least_squares,
    mesa_predictions,
    posterior_mean,
    regularised_least_squares,
    ridge,
    seeded,
    sequential_descent,
    squared_error,
)

AT_ONCE: tuple[Reference, ...] = (
    "GD, centred",
    "SGD",
    "ridge",
    "least squares",
    "kernel regression",
    "Bayes",
    "regularised least squares",
)
"""References that do not take as many steps as a network has layers."""
TIED_OR_NOT: tuple[Reference, ...] = ("preconditioned GD", "GD++", "preconditioned GD++")
"""References that have a form for layers which share their weights: the same matrices in every step."""


@dataclass(frozen=True)
class ReferenceSpec:
    """A reference, and for which networks."""

    kind: Reference
    steps: int | None = None
    """As many as a network has layers; None: it is the same for any number."""
    attention: AttentionKind | None = None
    """Whose kernel functional GD has; None: it is the same for any."""
    shared: bool | None = None
    """Whether all its steps are the same, as those of a network must be whose layers share their weights; None: it is
    the same either way."""

    @property
    def family(self) -> str:
        """Its name whatever the number of steps: `GD++ (shared)`, `functional GD (softmax)`."""
        if self.attention is not None:
            return f"{self.kind} ({self.attention})"
        return f"{self.kind} (shared)" if self.shared else self.kind

    @property
    def label(self) -> str:
        """`GD, 3 steps`, `GD++ (shared), 3 steps`."""
        return self.family if self.steps is None else f"{self.family}, {self.steps} step{'s' * (self.steps > 1)}"

    def suits(self, network: Network) -> bool:
        """Whether this is what a network is held against."""
        return (
            self.steps in (None, network.steps)
            and self.attention in (None, network.attention)
            and self.shared in (None, _repeats(network))
        )


@dataclass(frozen=True)
class Tuned(ReferenceSpec):
    """A reference, ready to predict."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    """What was tuned."""
    learner: Any = None
    """A `Learner`; in a linear system it takes trajectories and predicts each next state. None: it is not to be had."""
    status: str = "ok"
    """Or why there is no learner."""
    held_out: HeldOut | None = None
    """Its loss on the problems that it was tuned on, and on as many others; None where nothing is tuned."""

    @property
    def overfit(self) -> str:
        """By how much its held-out loss is higher than that of its tuning, as a clause; empty where it is not.

        It is not the best of its kind, which a network may still agree with: a comparison with it decides nothing.
        """
        if self.held_out is None or not self.held_out.is_higher:
            return ""
        if not isfinite(self.held_out.excess):
            return "it diverges on some of the problems that it was not tuned on"
        higher = f"{self.held_out.excess:.0%} higher (standard error {self.held_out.standard_error:.0%})"
        return f"its loss is {higher} on as many problems that it was not tuned on"


def references_of(study: SyntheticStudy) -> list[ReferenceSpec]:
    """Each reference in each form that suits one of the study's networks."""
    specs = (_spec(kind, network) for kind in study.references for network in study.networks.values())
    return list(dict.fromkeys(spec for spec in specs if spec is not None))


def _spec(kind: Reference, network: Network) -> ReferenceSpec | None:
    """What a network is held against of a kind; None where that has no form for such a network.

    GD has one rate for all steps in any case. A rate of each step's own is beyond a network whose layers are all the
    same; of functional GD and the mesa-optimiser there is no other form. With linear and ReLU attention a bandwidth is
    a factor of η, and so no reference of its own.
    """
    if kind in AT_ONCE:
        return ReferenceSpec(kind)
    if kind == "GD":
        return ReferenceSpec(kind, network.steps)
    if _repeats(network) and kind not in TIED_OR_NOT:
        return None
    if kind == "functional GD, bandwidth" and network.attention in ("linear", "relu"):
        return None
    if not kind.startswith("functional GD"):
        return ReferenceSpec(kind, network.steps, shared=_repeats(network))
    if network.attention == "mesa":
        return None
    return ReferenceSpec(kind, network.steps, network.attention, _repeats(network))


def _repeats(network: Network) -> bool:
    """Whether several layers are the same; one layer shares its weights with none."""
    return network.shared and network.layers > 1


def tuning_problems(study: SyntheticStudy, world: World | LinearSystem, *, held_out: bool = False) -> Any:
    """`Sequences` or `Trajectories` in float64: those that references are tuned on, or as many others."""
    generator = seeded("tuning", int(held_out), study.device)
    return world.draw(study.tuning_sequences, study.context, generator, dtype=torch.float64)


def tune(study: SyntheticStudy, world: World | LinearSystem, spec: ReferenceSpec) -> dict[str, Tensor]:
    """What the reference needs to know of the world, in float64; empty where it needs nothing.

    Raises:
        NotConverged: it could not be made as good as it can be.
    """
    kind, steps = spec.kind, spec.steps
    problems: Any = tuning_problems(study, world)
    match kind:
        case "GD":
            assert steps
            best = best_gradient_descent(steps, problems)
        case "GD, centred":
            best = best_gradient_descent(1, problems.centred())
        case "GD, rate per step" | "preconditioned GD" | "GD++" | "preconditioned GD++":
            assert steps
            preconditioned = kind.startswith("preconditioned")
            best = best_descent(
                steps, problems, preconditioned=preconditioned, curved=kind.endswith("++"), shared=bool(spec.shared)
            )
        case "mesa-optimiser":
            assert steps
            etas, gammas = best_mesa_layers(steps, problems)
            return {"steps": etas, "curvature": gammas}
        case "functional GD" | "functional GD, bandwidth":
            assert steps and spec.attention
            etas, bandwidth = best_functional_steps(
                steps, problems, spec.attention, any_bandwidth=kind.endswith("bandwidth")
            )
            return {"steps": etas, "bandwidth": torch.tensor(bandwidth, dtype=torch.float64)}
        case "ridge":
            return {"penalty": best_ridge(problems)}
        case "regularised least squares":
            return {"penalty": torch.tensor(best_penalty(problems), dtype=torch.float64)}
        case "SGD":
            return {"step": torch.tensor(best_sequential_step(problems), dtype=torch.float64)}
        case _:
            return {}
    return {
        "preconditioners": best.preconditioners,
        "curvature": best.curvature,
        "context": torch.tensor(best.context),
    }


def checked(study: SyntheticStudy, world: World | LinearSystem, reference: Tuned) -> HeldOut | None:
    """How a reference does on the problems that it was tuned on and on fresh ones; None where nothing is tuned."""
    if not reference.tensors:
        return None

    def errors(problems: Any) -> Tensor:
        if isinstance(problems, Trajectories):
            return squared_error(reference.learner(problems)[:, :-1], problems.states[:, 1:]).mean(dim=1)
        return squared_error(reference.learner(problems), problems.query_y)

    return held_out(*(errors(tuning_problems(study, world, held_out=fresh)) for fresh in (False, True)))


def tuned(
    world: World | LinearSystem,
    spec: ReferenceSpec,
    tensors: dict[str, Tensor],
    status: str = "ok",
    held_out: HeldOut | None = None,
) -> Tuned:
    """The reference with what was tuned put in, or with the reason why nothing was."""
    if status != "ok":
        return Tuned(**vars(spec), status=status)
    learner: Any
    match spec.kind:
        case "functional GD" | "functional GD, bandwidth":
            assert spec.attention
            learner = partial(
                functional_descent, steps=tensors["steps"], kind=spec.attention, bandwidth=float(tensors["bandwidth"])
            )
        case "GD" | "GD, rate per step" | "preconditioned GD" | "GD++" | "preconditioned GD++":
            learner = Descent(tensors["preconditioners"], tensors["curvature"], int(tensors["context"]))
        case "GD, centred":
            step = Descent(tensors["preconditioners"], tensors["curvature"], int(tensors["context"]))
            learner = partial(_on_centred, step)
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
    return Tuned(**vars(spec), tensors=tensors, learner=learner, held_out=held_out)


def _on_centred(step: Descent, problems: Sequences) -> Tensor:
    """One step of GD on examples whose x are centred: what two heads of softmax attention can do (`softmax_pair`)."""
    return step(problems.centred())


def tuning_record(study: SyntheticStudy, world: World | LinearSystem, spec: ReferenceSpec) -> CellRecord:
    """What is kept of a reference; of one that is not as good as it can be, why."""
    try:
        tensors = tune(study, world, spec)
    except NotConverged as error:
        status = f"not tuned to the end: {error}"
        return CellRecord({}, {"reference": spec.label, "status": status, "held_out": None})
    held_out = checked(study, world, tuned(world, spec, tensors))
    return CellRecord(tensors, {"reference": spec.label, "status": "ok", "held_out": held_out and asdict(held_out)})
