"""The parameters that fine-tuning may change: kept in float32, written through, and put back bit for bit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from demograd.learn.slices import slices_of_layers, slices_outside_layers
from demograd.learn.subset import ParameterSubset
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

    number: int | None
    """None: what lies outside all layers."""
    trained: list[TrainedParameter]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The network's parameters that hold the slices, each once: keys and values may share one."""
        return list({id(one.slice.parameter): one.slice.parameter for one in self.trained}.values())

    def gradients(self, of_parameters: tuple[Tensor, ...]) -> list[Tensor]:
        """Each slice's float32 part of the gradients of `parameters`."""
        by_parameter = dict(zip((id(p) for p in self.parameters), of_parameters, strict=True))
        return [one.slice.select(by_parameter[id(one.slice.parameter)]).float() for one in self.trained]


@contextmanager
def trained_layers(
    anatomy: Anatomy,
    subset: ParameterSubset,
    *,
    outside_layers: bool = False,
    left_out: Mapping[int, Bool[Tensor, " entries"]] | None = None,
) -> Iterator[list[TrainedLayer]]:
    """The layers of which something is trained, to be changed inside this block; every bit is put back after it.

    Args:
        anatomy: of the network.
        subset: what is trained.
        outside_layers: whether "all parameters" are those of the network rather than those of its layers.
        left_out: entries of the subset that are not trained all the same, by the `id` of their parameter.
    """
    slices: list[tuple[int | None, list[ParameterSlice]]] = [*slices_of_layers(anatomy, subset).items()]
    if outside_layers and (outside := slices_outside_layers(anatomy, subset)):
        slices.append((None, outside))
    layers = [
        TrainedLayer(number, [_with_master(one) for one in _without(of_layer, left_out or {})])
        for number, of_layer in slices
    ]
    try:
        yield layers
    finally:
        restore(layers)


def _without(slices: list[ParameterSlice], left_out: Mapping[int, Tensor]) -> Iterator[ParameterSlice]:
    """The slices without these entries; those of which nothing is left are not there."""
    for one in slices:
        mask = left_out.get(id(one.parameter))
        trained = None if mask is None else ~one.select(mask).flatten()
        if trained is None or trained.all():
            yield one
        elif trained.any():
            yield one.only(trained)


def _with_master(one: ParameterSlice) -> TrainedParameter:
    original = one.read()
    return TrainedParameter(one, original, original.to(torch.float32, copy=True))


def restore(layers: list[TrainedLayer]) -> None:
    """Put every weight back bit for bit."""
    for layer in layers:
        for one in layer.trained:
            one.slice.write(one.original)


def change_of(anatomy: Anatomy, layers: list[TrainedLayer]) -> dict[str, Tensor]:
    """What training added to each parameter, float32, zero where nothing was trained, by its name in the network.

    Of the masters: in a network of 16 bit this includes what rounding loses.
    """
    names = {id(parameter): name for name, parameter in anatomy.network.named_parameters()}
    change: dict[str, Tensor] = {}
    for one in (one for layer in layers for one in layer.trained):
        parameter = one.slice.parameter
        new = torch.zeros(parameter.shape, device=parameter.device)
        one.slice.write_into(change.setdefault(names[id(parameter)], new), one.master.detach() - one.original)
    return change


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
