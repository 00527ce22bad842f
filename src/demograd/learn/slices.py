"""The entries of a network's parameters that a `ParameterSubset` takes."""

import hashlib

import torch
from jaxtyping import Bool
from torch import Tensor

from demograd.learn.subset import ParameterSubset
from demograd.models import Anatomy, ParameterSlice


def slices_of_layers(anatomy: Anatomy, subset: ParameterSubset) -> dict[int, list[ParameterSlice]]:
    """The subset's slices inside each of its layers, by the layer's number."""
    slices = {}
    for number in subset.numbers(len(anatomy.blocks)):
        if subset.which == "all":
            named = anatomy.blocks[number].named_parameters()
            of_layer = [ParameterSlice(f"{number}.{name}", None, parameter) for name, parameter in named]
        else:
            of_layer = anatomy.key_value_parameters(number)
        slices[number] = [_share(one, subset) for one in of_layer if subset.which != "value" or one.part == "value"]
    return slices


def slices_outside_layers(anatomy: Anatomy, subset: ParameterSubset) -> list[ParameterSlice]:
    """Embeddings, final norm and unembedding, where the subset is every parameter of the network; else none."""
    if subset.which != "all" or subset.layers != "all":
        return []
    inside = {id(parameter) for block in anatomy.blocks for parameter in block.parameters()}
    named = anatomy.network.named_parameters()  # tied ones once
    return [_share(ParameterSlice(name, None, one), subset) for name, one in named if id(one) not in inside]


def _share(one: ParameterSlice, subset: ParameterSubset) -> ParameterSlice:
    if subset.fraction == 1:
        return one
    return one.only(drawn_entries(one.name, one.select(one.parameter).numel(), subset.fraction, subset.seed))


def drawn_entries(name: str, count: int, fraction: float, seed: int) -> Bool[Tensor, " count"]:
    """Which of a slice's entries are trained: the same on every device, and whatever else is trained."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
    return torch.rand(count, generator=generator) < fraction
