"""What numbers depend on by rounding alone, and so are not named by: device, threads, and the version of torch."""

from dataclasses import dataclass
from functools import cache

import torch


@dataclass(frozen=True)
class Computing:
    """What a run computes on, as it was asked for: which device that is, each machine that works says itself."""

    device: str
    """As a study has it: `auto`, `balanced`, `cpu`, `cuda`, …"""
    threads: int
    """Of each worker."""

    def here(self) -> str:
        """In words, where it is asked: equal only where the same numbers come out bit for bit."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{_device(self.device)}, {threads}, torch {torch.__version__}"


@cache
def _device(name: str) -> str:
    """The kind of device, and which: kernels are chosen by a processor's instructions, and by the GPU."""
    if name in ("auto", "balanced"):
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else device.type
