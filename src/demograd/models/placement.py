"""Where a network's tensors live: on one device, or over all CUDA devices for a model that is bigger than one."""

from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory

from demograd.errors import UserError

_CHOICES = "auto, cpu, a device that torch sees, or balanced: over all CUDA devices"


def check_device(name: str) -> str:
    """The device or `balanced`, for any name that a user may give; `auto` is left for when the network is known.

    Raises:
        UserError: this machine has no such device.
    """
    if name == "auto":
        return name
    if name == "balanced":
        if torch.cuda.device_count() < 2:
            raise UserError(
                f"Device 'balanced' needs several CUDA devices; here are {torch.cuda.device_count()}",
                _CHOICES,
                "Try --device auto",
            )
        return name
    try:
        torch.zeros(1, device=torch.device(name)).item()  # `meta` holds nothing that could be read
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"Device {name!r} cannot be used here ({str(error).splitlines()[0]})", _CHOICES, "Try --device auto"
        ) from error
    return name


def placed(network: Any, device: str) -> Any:
    """The network, moved to where it is to run.

    `auto` is the first CUDA device, or the CPU where there is none. A network that would fill more than half of that
    device is spread over all CUDA devices, whole blocks at a time: activations, and float32 masters of the key and
    value projections, need room beside it. The network is loaded on the CPU first, so it must fit there.

    Raises:
        UserError: it does not fit the CUDA devices together.
    """
    if device == "auto":
        free = [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]
        device = where_it_fits(sum(parameter.nbytes for parameter in network.parameters()), free)
    if device != "balanced":
        return network.to(device)
    memory = get_balanced_memory(network, no_split_module_classes=_blocks(network), dtype=network.dtype)
    return dispatch_model(network, device_map(network, memory))


def where_it_fits(size: int, free: list[int]) -> str:
    """The device for weights of `size` bytes, of the bytes that each CUDA device has free."""
    if not free:
        return "cpu"
    return "balanced" if len(free) > 1 and 2 * size > free[0] else "cuda"


def device_map(network: Any, memory: dict[int | str, int]) -> dict[str, int]:
    """Which CUDA device takes which module, of the bytes that each device (number, or "cpu") may take.

    Raises:
        UserError: some would have to stay on the CPU.
    """
    places = infer_auto_device_map(
        network, max_memory=memory, no_split_module_classes=_blocks(network), dtype=network.dtype
    )
    # accelerate would fetch them whenever they are used; weights that come and go cannot be trained
    if {"cpu", "disk"} & {str(place) for place in places.values()}:
        raise UserError(
            "The model does not fit the memory of all CUDA devices together",
            "a smaller model or dtype",
            "Try --dtype bfloat16",
        )
    return places


def _blocks(network: Any) -> list[str]:
    return sorted(network._no_split_modules or [])
