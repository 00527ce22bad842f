"""In-context learning problems, many at once, and the streams of random numbers that they are drawn from."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor


@dataclass(frozen=True)
class Sequences:
    """Regression problems: examples (x_i, y_i), and a query whose y is to be predicted from them."""

    x: Float[Tensor, "sequences context inputs"]
    y: Float[Tensor, "sequences context outputs"]
    query_x: Float[Tensor, "sequences inputs"]
    query_y: Float[Tensor, "sequences outputs"]

    @property
    def context(self) -> int:
        """Examples before the query."""
        return self.x.shape[1]

    def batches(self, size: int) -> list["Sequences"]:
        """The same problems in batches of at most so many."""
        parts = zip(*(values.split(size) for values in (self.x, self.y, self.query_x, self.query_y)), strict=True)
        return [Sequences(*part) for part in parts]

    def centred(self) -> "Sequences":
        """The same problems with the mean of the examples' x taken from each of them; the query's x stays."""
        return replace(self, x=self.x - self.x.mean(dim=1, keepdim=True))

    def reordered(self, order: Tensor) -> "Sequences":
        """The same problems with their examples in another order."""
        return replace(self, x=self.x[:, order], y=self.y[:, order])


@dataclass(frozen=True)
class Trajectories:
    """States of dynamical systems: each state is to be predicted from those before it."""

    states: Float[Tensor, "sequences times state"]


Purpose = Literal["weights", "training", "tuning", "test"]
_PURPOSES: tuple[Purpose, ...] = ("weights", "training", "tuning", "test")


def seeded(purpose: Purpose, seed: int, device: str | torch.device = "cpu", *, again: int = 0) -> Generator:
    """A generator of its own for each purpose and seed, and each time that they are needed `again`.

    They are hashed together: torch's generator on a CPU keeps 32 bits of a seed, so that seeds which differ above
    them, as sums of large numbers do, would draw the same.
    """
    [hashed] = np.random.SeedSequence([_PURPOSES.index(purpose), seed, *([again] if again else [])]).generate_state(1)
    return Generator(device=device).manual_seed(int(hashed))
