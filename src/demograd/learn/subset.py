"""Which parameters fine-tuning may change: what of them, in which layers, and what share of their entries."""

from dataclasses import dataclass
from typing import Literal

from demograd.errors import UserError, quoted


@dataclass(frozen=True)
class ParameterSubset:
    """A subset of a network's parameters ("implicit GD", Shen 2023); the key and value projections of every layer."""

    which: Literal["key_value", "value", "all"] = "key_value"
    """Weights and biases of the key and value projections, or of the value projections alone; or every parameter: of
    the network in GD (tied ones once), of the blocks in LCGD, whose readout is frozen (Deutch 2024 §4.4). Where
    `layers` names some, `all` means every parameter of those blocks."""
    layers: Literal["all", "shallow", "middle", "deep"] | int | tuple[int, int] = "all"
    """Thirds of the depth L: the first ⌊L/3⌋ layers are shallow, the last ⌊L/3⌋ deep, all between them middle. Or one
    layer by its number from 0, or the first and last of a range, inclusive; negative numbers count from the top."""
    fraction: float = 1.0
    """Each entry is taken with this probability, drawn once: the same entries in every step."""
    seed: int = 0
    """Of the fraction."""

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
            named = {"all": (0, depth), "shallow": (0, third), "middle": (third, deep), "deep": (deep, depth)}
            return range(*named[self.layers])
        first, last = self.layers if isinstance(self.layers, tuple) else (self.layers, self.layers)
        if not all(-depth <= one < depth for one in (first, last)) or first % depth > last % depth:
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

    @property
    def label(self) -> str:
        """What differs from the default, as in "value only, deep third"; empty for the default."""
        parts = {"key_value": [], "value": ["value only"], "all": ["all parameters"]}[self.which]
        if isinstance(self.layers, tuple):
            parts.append(f"layers {self.layers[0]} to {self.layers[1]}")
        elif isinstance(self.layers, int):
            parts.append(f"layer {self.layers}")
        elif self.layers != "all":
            parts.append(f"{self.layers} third")
        if self.fraction != 1:
            parts.append(f"{100 * self.fraction:g} % of entries" + (f" (seed {self.seed})" if self.seed else ""))
        return ", ".join(parts)
