"""Where memory runs out, passes are halved until they fit, and later ones are no larger."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch

from demograd.observe.packed import Segment

Result = TypeVar("Result")
Batch = TypeVar("Batch", bound="Divisible")


@runtime_checkable
class Divisible(Protocol):
    """A batch of queries that can be run as two."""

    @property
    def segments(self) -> list[Segment]: ...
    def halves(self: Batch) -> tuple[Batch, Batch]: ...


@dataclass
class Room:
    """What fits into memory, as far as it is known."""

    tokens: int | None = None
    """The most tokens in one pass; None: memory has not run out yet."""

    def run(self, batch: Batch, forward: Callable[[Batch], Result]) -> list[Result]:
        """What `forward` gives of the batch, or of each of its parts.

        Raises:
            RuntimeError: memory runs out with a single query.
        """
        tokens, is_one = sum(len(segment.tokens) for segment in batch.segments), len(batch.segments) == 1
        if self.tokens is not None and tokens > self.tokens and not is_one:
            return [result for half in batch.halves() for result in self.run(half, forward)]
        try:
            return [forward(batch)]
        except (RuntimeError, MemoryError) as error:
            if is_one or not is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()  # out here the error is gone, and with it what the pass held
        self.tokens = tokens // 2
        return self.run(batch, forward)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: other passes sum in another order."""
        return () if self.tokens is None else (f"memory ran out: observed in passes of at most {self.tokens} tokens",)


def is_out_of_memory(error: Exception) -> bool:
    """A GPU's error has a type of its own; the CPU allocator's is known by its words."""
    is_of_cpu = "DefaultCPUAllocator: can't allocate memory" in str(error)
    return is_of_cpu or isinstance(error, (torch.OutOfMemoryError, MemoryError))
