"""The weights of many tuned networks, held as the values of what was trained, never as copies of the network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from demograd.learn.parameters import TrainedLayer, change_by_name
from demograd.models import Anatomy, ParameterSlice


@dataclass(frozen=True, eq=False)
class HeldWeights:
    """The trained slices of one network after one step, on the CPU."""

    slices: Sequence[ParameterSlice]
    values: Sequence[Tensor]
    """Of each slice: its values in the network's dtype; of a linearised method their float32 change."""
    is_change: bool

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Inside this block the network has these weights; then its own are put back bit for bit."""
        before = [part.read() for part in self.slices]
        try:
            self._write(self.values)
            yield
        finally:
            self._write(before)

    def _write(self, values: Sequence[Tensor]) -> None:
        for part, tensor in zip(self.slices, values, strict=True):
            part.write(tensor.to(part.parameter.device))

    def change(self, anatomy: Anatomy) -> dict[str, Tensor]:
        """The change of each parameter by its name in the network."""
        return change_by_name(anatomy, zip(self.slices, self.values, strict=True))


def held(layers: list[TrainedLayer], *, as_change: bool) -> HeldWeights:
    """A copy of what these layers have learned so far."""
    every = [trained for layer in layers for trained in layer.trained]
    if as_change:
        values = [trained.master.detach() - trained.original for trained in every]
    else:
        values = [trained.master.detach().to(trained.original.dtype, copy=True) for trained in every]
    return HeldWeights([trained.slice for trained in every], [tensor.cpu() for tensor in values], as_change)
