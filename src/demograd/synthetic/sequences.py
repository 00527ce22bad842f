"""What a synthetic world gives out: in-context learning problems, many at once."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor


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

    def reordered(self, order: Tensor) -> "Sequences":
        """The same problems with their examples in another order."""
        return replace(self, x=self.x[:, order], y=self.y[:, order])


@dataclass(frozen=True)
class Trajectories:
    """States of dynamical systems: each state is to be predicted from those before it."""

    states: Float[Tensor, "sequences times state"]
