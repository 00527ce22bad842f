"""Whether what was tuned is as good on fresh problems: tuned to convergence on a sample can be tuned to the sample."""

from dataclasses import dataclass
from math import isfinite

from jaxtyping import Float
from torch import Tensor

TOLERATED = 0.02
"""Share of the tuning loss by which the held-out loss may be higher without a word."""


@dataclass(frozen=True)
class HeldOut:
    """Mean squared errors on the problems that something was tuned on, and on as good as any others."""

    tuning_loss: float
    held_out_loss: float
    standard_error: float
    """Of `excess`, from the spread over the problems of both."""

    @property
    def excess(self) -> float:
        """Share of the tuning loss by which the held-out loss is higher; negative where it is lower."""
        return self.held_out_loss / self.tuning_loss - 1

    @property
    def is_higher(self) -> bool:
        """Whether the held-out loss is higher by more than is tolerated, and by a standard error more; or diverged."""
        return not isfinite(self.excess) or self.excess - self.standard_error > TOLERATED


def held_out(tuning: Float[Tensor, " problems"], fresh: Float[Tensor, " others"]) -> HeldOut:
    """From the squared errors on the problems of tuning and on fresh ones, of which nothing was tuned or chosen."""
    below, above = (float(errors.mean()) for errors in (tuning, fresh))
    variance = sum(float(errors.var()) / len(errors) for errors in (tuning, fresh))
    return HeldOut(below, above, variance**0.5 / below)
