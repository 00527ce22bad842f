"""The weights of many tuned networks, held as the values of what was trained, never as copies of the network."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demograd.errors import UserError
from demograd.learn.parameters import change_by_name
from demograd.models import Anatomy, Intervention, ParameterSlice

HELD_IN_MEMORY = 2 * 2**30
"""The most bytes of held weights in memory; those beyond are in temporary files. 26 MB are one tuned SmolLM2-135M in
float32: 80 of them are in memory."""


@dataclass(frozen=True, eq=False)
class HeldWeights:
    """The trained slices of one network after one step, on the CPU or in a file."""

    slices: Sequence[ParameterSlice]
    values: Sequence[Tensor]
    """Of each slice: its values in the network's dtype; of a linearised method their float32 change."""
    is_change: bool
    intervention: Intervention | None = None
    """What is otherwise in the forward pass of a network whose weights are its own."""

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


@dataclass(eq=False)
class Holding:
    """Room for held weights."""

    bytes: int = field(default=0, init=False)
    """In memory."""

    def hold(
        self, slices: Sequence[ParameterSlice], masters: Sequence[Tensor], *, linearised: bool, before: Sequence[Tensor]
    ) -> HeldWeights:
        """A copy of slices' float32 masters, rounded as the network has them; linearised: their change from before.

        Raises:
            UserError: neither memory nor the folder of temporary files has room.
        """
        if linearised:
            values = [master - own for master, own in zip(masters, before, strict=True)]
        else:
            values = [master.to(part.parameter.dtype, copy=True) for part, master in zip(slices, masters, strict=True)]
        values = [tensor.detach().cpu() for tensor in values]
        size = sum(tensor.nbytes for tensor in values)
        if self.bytes + size > HELD_IN_MEMORY:
            values = _in_file(values)
        else:
            self.bytes += size
        return HeldWeights(slices, values, linearised)


def _in_file(values: Sequence[Tensor]) -> list[Tensor]:
    """The same tensors, mapped from a temporary file that is gone when they are."""
    try:
        handle, name = tempfile.mkstemp(prefix="demograd-weights-")
        try:
            with os.fdopen(handle, "wb") as file:
                for tensor in values:
                    file.write(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
            storage: Any = torch.UntypedStorage.from_file(name, shared=False, nbytes=Path(name).stat().st_size)
        finally:
            Path(name).unlink()
    except OSError as error:
        raise UserError(
            f"Weights of tuned networks fill {HELD_IN_MEMORY / 2**30:g} GiB of memory, and no more go into "
            f"{tempfile.gettempdir()} ({error.strerror})",
            "room for all that are held",
            "Set TMPDIR to a folder with more room, or ask for fewer steps at a time",
        ) from error
    mapped, start = [], 0
    for tensor in values:
        flat = torch.empty(0, dtype=tensor.dtype).set_(
            storage, start // tensor.itemsize, tensor.shape, tensor.contiguous().stride()
        )
        mapped.append(flat)
        start += tensor.nbytes
    return mapped
