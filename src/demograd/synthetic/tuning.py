"""Least squares by Levenberg and Marquardt: networks are held against references, so these must be the best there are.

Errors that are nearly linear in what is tuned, as those of a few steps of descent are, need some 30 iterations where
L-BFGS needs thousands: on three steps of preconditioned GD++ in five dimensions it still stands at three times the
least loss after 600. Errors come in batches, and of a batch only its part of JᵀJ and Jᵀr is kept: memory does not grow
with the number of problems.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

import torch
from jaxtyping import Float
from torch import Tensor

GAIN = 1e-6
"""An iteration that takes less than this share off the loss is the last."""

Errors = Callable[[Float[Tensor, " parameters"]], Float[Tensor, " errors"]]
Jacobian = Callable[[Float[Tensor, " parameters"]], Float[Tensor, "errors parameters"]]


class NotConverged(Exception):
    """A reference could not be made as good as it can be."""


@dataclass(frozen=True)
class Minimum:
    """Where going downhill has ended."""

    parameters: Float[Tensor, " parameters"]
    loss: float
    """The mean squared error there."""
    gain: float
    """The share that the last iteration took off the loss; 0 where none could take any."""
    done: bool
    """Whether it ended because there is no more to gain, not because iterations ran out."""

    def converged(self) -> Tensor:
        """The parameters.

        Raises:
            NotConverged: the loss was still falling, or was not finite at the start.
        """
        if self.done:
            return self.parameters
        if not torch.isfinite(torch.tensor(self.loss)):
            raise NotConverged(f"the mean squared error is {self.loss} where tuning begins")
        raise NotConverged(
            f"iterations ran out at a mean squared error of {self.loss:.3g}, of which the last took {self.gain:.0e}"
        )


def minimise(
    errors: Sequence[Errors],
    start: Float[Tensor, " parameters"],
    jacobians: Sequence[Jacobian] | None = None,
    iterations: int = 300,
) -> Minimum:
    """The least squared error, over all batches of errors, that can be reached downhill from a start.

    Without `jacobians`, one for each batch, they are forward differentiation's: one pass for each parameter.
    """
    jacobians = [partial(_forward, batch) for batch in errors] if jacobians is None else jacobians
    parameters, damping, gain = start, 1e-2, 1.0
    left = [batch(parameters) for batch in errors]
    loss = mean_square(left)
    if not loss.isfinite():
        return Minimum(parameters, float(loss), 0.0, done=False)
    for _ in range(iterations):
        curvature, slope = _normal_equations(jacobians, left, parameters)
        # a parameter that changes nothing has no curvature: with this floor under it, it stays where it is
        scale = curvature.diagonal().clamp(min=1e-12 * float(curvature.diagonal().max())).diag()
        while damping < 1e12:
            step = torch.linalg.solve_ex(curvature + damping * scale, slope).result
            residuals = [batch(parameters - step) for batch in errors]
            if (new := mean_square(residuals)) < loss:
                break
            damping *= 4
        else:  # no step goes down, however short: this is the bottom, to rounding
            return Minimum(parameters, float(loss), 0.0, done=True)
        gain = float(1 - new / loss)
        parameters, left, loss = parameters - step, residuals, new
        if gain < GAIN and damping <= 1:  # under a heavier damping steps are short, and so are gains
            return Minimum(parameters, float(loss), gain, done=True)
        damping /= 3
    return Minimum(parameters, float(loss), gain, done=False)


def mean_square(errors: Sequence[Float[Tensor, " _"]]) -> Float[Tensor, ""]:
    """Over the errors of all batches."""
    return torch.cat(list(errors)).square().mean()


def _normal_equations(
    jacobians: Sequence[Jacobian], left: Sequence[Tensor], parameters: Float[Tensor, " parameters"]
) -> tuple[Float[Tensor, "parameters parameters"], Float[Tensor, " parameters"]]:
    """JᵀJ and Jᵀr, added up over batches."""
    curvature, slope = parameters.new_zeros(len(parameters), len(parameters)), torch.zeros_like(parameters)
    for jacobian, of_batch in zip(jacobians, left, strict=True):
        slopes = jacobian(parameters)
        curvature, slope = curvature + slopes.mT @ slopes, slope + slopes.mT @ of_batch
    return curvature, slope


def _forward(errors: Errors, parameters: Float[Tensor, " parameters"]) -> Float[Tensor, "errors parameters"]:
    directions = torch.eye(len(parameters), dtype=parameters.dtype, device=parameters.device)
    return torch.stack([torch.func.jvp(errors, (parameters,), (direction,))[1] for direction in directions], dim=1)


TOLERATED, GROSS = 0.02, 0.5
"""Shares of the tuning loss by which the held-out loss may be higher without a word, and which are too much to be a
matter of chance."""


@dataclass(frozen=True)
class HeldOut:
    """Mean squared errors on the problems that something was tuned on, and on as good as any others."""

    tuning_loss: float
    held_out_loss: float
    standard_error: float
    """Standard error of `excess`, from the spread over the problems of both."""

    @property
    def excess(self) -> float:
        """Share of the tuning loss by which the held-out loss is higher; negative where it is lower."""
        return self.held_out_loss / self.tuning_loss - 1

    @property
    def is_higher(self) -> bool:
        """Whether the held-out loss is higher by more than is tolerated with its whole 95 % interval; or diverged.

        One that is higher by half, with one standard error: where a few problems make the loss, its standard error is
        nearly as large as itself, and a 95 % interval leaves out nothing.
        """
        errors = 1.0 if self.excess > GROSS else 1.96
        return not isfinite(self.excess) or self.excess - errors * self.standard_error > TOLERATED


def held_out(tuning: Float[Tensor, " problems"], fresh: Float[Tensor, " others"]) -> HeldOut:
    """From the squared errors on the problems of tuning and on fresh ones, of which nothing was tuned or chosen."""
    below, above = (float(errors.mean()) for errors in (tuning, fresh))
    variance = sum(float(errors.var()) / len(errors) for errors in (tuning, fresh))
    return HeldOut(below, above, variance**0.5 / below)
