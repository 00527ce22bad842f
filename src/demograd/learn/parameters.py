"""The parameters that fine-tuning may change: which, their float32 masters, and putting them back bit for bit."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from demograd.learn.subset import ParameterSubset
from demograd.models import Anatomy, ParameterSlice


@dataclass(frozen=True, eq=False)
class TrainedParameter:
    """One slice and its master, float32 at least, on which the optimizer works."""

    slice: ParameterSlice
    original: Tensor
    master: Tensor

    def write(self) -> None:
        """Round the master into the network."""
        self.slice.write(self.master)


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """The trained parameters of one layer."""

    number: int | None
    """None: what lies outside all layers."""
    trained: list[TrainedParameter]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The network's parameters that hold the slices, each once: keys and values may share one."""
        return list({id(trained.slice.parameter): trained.slice.parameter for trained in self.trained}.values())

    def gradients(self, parameter_gradients: tuple[Tensor, ...]) -> list[Tensor]:
        """Each slice's part of the gradients of `parameters`, in the dtype of its master."""
        by_parameter = dict(zip(map(id, self.parameters), parameter_gradients, strict=True))
        return [
            trained.slice.select(by_parameter[id(trained.slice.parameter)]).to(trained.master.dtype)
            for trained in self.trained
        ]


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
        anatomy: the network's.
        subset: what is trained.
        outside_layers: whether "all parameters" are those of the network rather than those of its layers.
        left_out: entries of the subset that are not trained all the same, by the `id` of their parameter.
    """
    slices: list[tuple[int | None, list[ParameterSlice]]] = [*slices_of_layers(anatomy, subset).items()]
    if outside_layers and (outside := slices_outside_layers(anatomy, subset)):
        slices.append((None, outside))
    layers = [
        TrainedLayer(number, [_with_master(part) for part in without(layer_slices, left_out or {})])
        for number, layer_slices in slices
    ]
    try:
        yield layers
    finally:
        restore(layers)


def without(slices: list[ParameterSlice], left_out: Mapping[int, Tensor]) -> Iterator[ParameterSlice]:
    """The slices without these entries; those of which nothing is left are not there."""
    for part in slices:
        mask = left_out.get(id(part.parameter))
        trained = None if mask is None else ~part.select(mask).flatten()
        if trained is None or trained.all():
            yield part
        elif trained.any():
            yield part.only(trained)


def _with_master(part: ParameterSlice) -> TrainedParameter:
    original = part.read()
    return TrainedParameter(part, original, original.to(exact_dtype(original.dtype), copy=True))


def exact_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of masters, gradients and sums of a network in this one: float32, or float64."""
    return torch.promote_types(dtype, torch.float32)


def restore(layers: list[TrainedLayer]) -> None:
    """Put every weight back bit for bit."""
    for layer in layers:
        for trained in layer.trained:
            trained.slice.write(trained.original)


def change_of(anatomy: Anatomy, layers: list[TrainedLayer]) -> dict[str, Tensor]:
    """The change of each parameter by training, see `change_by_name`.

    It is the change of the masters: in a network of 16 bit this includes what rounding loses.
    """
    parameters = [trained for layer in layers for trained in layer.trained]
    return change_by_name(
        anatomy, ((trained.slice, trained.master.detach() - trained.original) for trained in parameters)
    )


def change_by_name(anatomy: Anatomy, changes: Iterable[tuple[ParameterSlice, Tensor]]) -> dict[str, Tensor]:
    """Changes of slices as those of parameters, float32, zero where nothing changes, by name in the network."""
    names = {id(parameter): name for name, parameter in anatomy.network.named_parameters()}
    change: dict[str, Tensor] = {}
    for part, values in changes:
        new = torch.zeros(part.parameter.shape, device=part.parameter.device)
        part.write_into(change.setdefault(names[id(part.parameter)], new), values)
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


def slices_of_layers(anatomy: Anatomy, subset: ParameterSubset) -> dict[int, list[ParameterSlice]]:
    """The subset's slices inside each of its layers, by the layer's number."""
    slices = {}
    for number in subset.numbers(len(anatomy.blocks)):
        if subset.which == "all":
            parameters = anatomy.blocks[number].named_parameters()
            parts = [ParameterSlice(f"{number}.{name}", None, parameter) for name, parameter in parameters]
        else:
            parts = anatomy.key_value_parameters(number)
        slices[number] = [_share(part, subset) for part in parts if subset.which != "value" or part.part == "value"]
    return slices


def slices_outside_layers(anatomy: Anatomy, subset: ParameterSubset) -> list[ParameterSlice]:
    """Embeddings, final norm and unembedding, where the subset is every parameter of the network; else none."""
    if subset.which != "all" or subset.layers != "all":
        return []
    inside = {id(parameter) for block in anatomy.blocks for parameter in block.parameters()}
    parameters = anatomy.network.named_parameters()  # tied ones once
    return [
        _share(ParameterSlice(name, None, parameter), subset)
        for name, parameter in parameters
        if id(parameter) not in inside
    ]


def _share(part: ParameterSlice, subset: ParameterSubset) -> ParameterSlice:
    if subset.fraction == 1:
        return part
    return part.only(drawn_entries(part.name, part.select(part.parameter).numel(), subset.fraction, subset.seed))


def drawn_entries(name: str, count: int, fraction: float, seed: int) -> Bool[Tensor, " count"]:
    """The mask of a slice's trained entries: the same on every device, and whatever else is trained."""
    return torch.rand(count, generator=generator_of(name, seed)) < fraction


def generator_of(name: str, seed: int) -> torch.Generator:
    """The same draws for a part of this name on every device, and whatever else is drawn."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
