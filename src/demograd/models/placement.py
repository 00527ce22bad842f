"""Where a network's tensors live: on one device, or over all CUDA devices for a model that is bigger than one."""

from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory

from demograd.errors import UserError

_KNOWN = "auto, cpu, a device that torch sees, or balanced: over all CUDA devices"


def check_device(name: str) -> str:
    """The device or `balanced`, for any name that a user may give; `auto` is left for when the network is known.

    Raises:
        UserError: this machine has no such device.
    """
    if name == "auto":
        return name
    if name == "balanced":
        if torch.cuda.device_count() < 2:
            raise UserError(f"Device 'balanced' needs several CUDA devices; here are {torch.cuda.device_count()}",
                            _KNOWN, "Try --device auto")  # fmt: skip
        return name
    try:
        torch.empty(0, device=torch.device(name))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"Device {name!r} cannot be used here ({str(error).splitlines()[0]})", _KNOWN,
                        "Try --device auto") from error  # fmt: skip
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
        device = _best(sum(tensor.nbytes for tensor in network.state_dict().values()))
    return _spread(network) if device == "balanced" else network.to(device)


def _best(size: int) -> str:
    if not torch.cuda.is_available():
        return "cpu"
    free, _ = torch.cuda.mem_get_info(0)
    return "balanced" if torch.cuda.device_count() > 1 and 2 * size > free else "cuda"


def _spread(network: Any) -> Any:
    whole = sorted(network._no_split_modules or [])
    memory = get_balanced_memory(network, no_split_module_classes=whole, dtype=network.dtype)
    device_map = infer_auto_device_map(network, max_memory=memory, no_split_module_classes=whole, dtype=network.dtype)
    # accelerate would keep the rest on the CPU or on disk and fetch it when it is used; weights that come and go
    # cannot be trained
    if {"cpu", "disk"} & {str(place) for place in device_map.values()}:
        raise UserError("The model does not fit the memory of all CUDA devices together", "a smaller model or dtype",
                        "Try --dtype bfloat16")  # fmt: skip
    return dispatch_model(network, device_map)
