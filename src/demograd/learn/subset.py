"""The subset of parameters that fine-tuning may change: kinds, layers, and the share of their entries."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from demograd.errors import UserError, quoted
from demograd.numbers import NUMBER, Real, Whole


def _layers_in_words(layers: Any) -> str:
    if isinstance(layers, int):
        return f"layer {layers} only"
    return f"{layers} layers only" if isinstance(layers, str) else f"layers {layers[0]} to {layers[1]} only"


@dataclass(frozen=True)
class ParameterSubset:
    """A subset of a network's parameters ("implicit GD", Shen 2023); the key and value projections of every layer."""

    which: Literal["key_value", "value", "all"] = field(
        default="key_value", metadata={"words": {"value": "value projections only", "all": "all parameters"}}
    )
    """Weights and biases of the key and value projections, or of the value projections alone; or every parameter: of
    the network in GD (tied ones once), of the blocks in LCGD, whose readout is frozen (Deutch 2024 §4.4). Where
    `layers` names some, `all` means every parameter of those blocks."""
    layers: Annotated[Literal["all", "shallow", "middle", "deep"] | int | tuple[int, int], NUMBER] = field(
        default="all", metadata={"words": _layers_in_words}
    )
    """Thirds of the depth L: the first ⌊L/3⌋ layers are shallow, the last ⌊L/3⌋ deep, all between them middle. Or one
    layer by its number from 0, or the first and last of a range, inclusive; negative numbers count from the top."""
    fraction: Real = field(default=1.0, metadata={"words": lambda share: f"a random {100 * share:g} % of the entries"})
    """Each entry is taken with this probability, drawn once: the same entries in every step."""
    seed: Whole = 0
    """Draws the fraction."""

    def numbers(self, depth: int) -> range:
        """The layers, of a network with `depth` of them.

        Raises:
            UserError: there are no such layers in this network.
        """
        third = depth // 3
        if self.layers in ("shallow", "middle", "deep") and not third:
            raise UserError(
                f"{self.layers} layers of {depth}", "a network of three layers or more", "Name layers by number"
            )
        if isinstance(self.layers, str):
            deep = depth - third
            bounds = {"all": (0, depth), "shallow": (0, third), "middle": (third, deep), "deep": (deep, depth)}
            return range(*bounds[self.layers])
        first, last = self.layers if isinstance(self.layers, tuple) else (self.layers, self.layers)
        if not all(-depth <= number < depth for number in (first, last)) or first % depth > last % depth:
            raise UserError(
                f"layers {quoted(self.layers)} of a network with {depth}",
                f"numbers from 0 to {depth - 1} (or from -{depth} to -1), the first before the last",
                "Correct them, or use all, shallow, middle or deep",
            )
        return range(first % depth, last % depth + 1)

    def check(self, depth: int) -> None:
        """
        Raises:
            UserError: there are no such layers in a network with `depth` of them, or the fraction is none.
        """
        self.numbers(depth)
        if not 0 < self.fraction <= 1:
            raise UserError(
                f"fraction {self.fraction} of the parameters",
                "a number above 0, up to 1",
                "Leave it out for all of them",
            )
