"""What a change of parameters does to first order, h + J·ΔW: one forward-mode derivative beside every value.

Inside `first_order`, parameters are dual numbers: a tensor carries its own derivative along ΔW, and so does all that
the network computes of it. `Tensor.detach` drops it, so nothing on the way from parameters to records may detach.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from demograd.observe.observation import Observation


@contextmanager
def first_order(network: nn.Module, change: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Inside this block the network's parameters carry their change (`Model.change`); their values stay as they are."""
    if change is None:
        yield
        return
    with experts_apart(network), forward_ad.dual_level():  # when it ends, so do all derivatives
        for name, parameter in network.named_parameters():
            if name in change:
                tangent = change[name].to(parameter)
                # in place, so that tied parameters and modules that keep a reference see it too
                parameter.copy_(forward_ad.make_dual(parameter.clone(), tangent))
        yield


@contextmanager
def experts_apart(network: Any) -> Iterator[None]:
    """Inside this block a mixture of experts runs one expert after another: the kernel for all has no derivative."""
    config = network.config
    before = getattr(config, "_experts_implementation", None)
    if before is None:
        yield
        return
    config._experts_implementation = "eager"
    try:
        yield
    finally:
        config._experts_implementation = before


def has_derivative(*tensors: Tensor) -> bool:
    """Whether one of them carries a derivative: fused attention kernels then have no rule."""
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


def copy_with_derivatives(value: Any) -> Any:
    """A deep copy. Torch's own copies a tensor's numbers and leaves its derivative behind."""
    with _CloneTensors():
        return copy.deepcopy(value)


class _CloneTensors(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0].clone() if function is Tensor.__deepcopy__ else function(*args, **(kwargs or {}))


def evaluated(observation: Observation) -> Observation:
    """Value plus derivative of every tensor that is kept."""
    return replace(
        observation, **{field.name: _evaluated(getattr(observation, field.name)) for field in fields(observation)}
    )


def _evaluated(value: Any) -> Any:
    if isinstance(value, list):
        return [_evaluated(entry) for entry in value]
    if not isinstance(value, Tensor):
        return value
    primal, tangent = forward_ad.unpack_dual(value)
    return primal if tangent is None else primal + tangent
