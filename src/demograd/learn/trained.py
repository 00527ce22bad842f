"""The parameters that fine-tuning may change: kept in float32, written through, and put back bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from demograd.models import Anatomy, ParameterSlice


@dataclass(frozen=True, eq=False)
class TrainedParameter:
    """One slice and its float32 master, on which the optimizer works."""

    slice: ParameterSlice
    original: Tensor
    master: Tensor

    def write(self) -> None:
        """Round the master into the network."""
        self.slice.write(self.master)


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """What is trained in one layer."""

    trained: list[TrainedParameter]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The network's parameters that hold the slices, each once: keys and values may share one."""
        return list({id(one.slice.parameter): one.slice.parameter for one in self.trained}.values())

    def gradients(self, of_parameters: tuple[Tensor, ...]) -> list[Tensor]:
        """Each slice's float32 part of the gradients of `parameters`."""
        by_parameter = dict(zip((id(p) for p in self.parameters), of_parameters, strict=True))
        return [one.slice.of(by_parameter[id(one.slice.parameter)]).float() for one in self.trained]


@contextmanager
def trained_layers(anatomy: Anatomy) -> Iterator[list[TrainedLayer]]:
    """The key and value projections of every layer, to be changed inside this block; every bit is put back after it."""
    layers = []
    for layer in range(len(anatomy.blocks)):
        slices = anatomy.key_value_parameters(layer)
        originals = [one.read() for one in slices]
        layers.append(TrainedLayer([
            TrainedParameter(one, original, original.float() if original.dtype != torch.float32 else original.clone())
            for one, original in zip(slices, originals, strict=True)
        ]))  # fmt: skip
    try:
        yield layers
    finally:
        for trained in layers:
            for one in trained.trained:
                one.slice.write(one.original)


@contextmanager
def gradients_enabled(layers: list[TrainedLayer]) -> Iterator[None]:
    """Gradients flow to the trained parameters and to nothing else: none is computed for frozen matrices."""
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
