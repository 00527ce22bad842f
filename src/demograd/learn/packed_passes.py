"""Passes of many jobs end to end in one row: whose tokens are where, and what counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from demograd.learn.job_projections import Span
from demograd.learn.step import TrainingPass


@dataclass(frozen=True, eq=False)
class PackedPasses:
    """Jobs' passes end to end in one row."""

    passes: Sequence[tuple[int, TrainingPass]]
    """Each with its job's number."""

    @property
    def jobs(self) -> list[int]:
        """Their numbers."""
        return [job for job, _ in self.passes]

    @cached_property
    def spans(self) -> list[Span]:
        """Where each job's tokens are."""
        spans, start = [], 0
        for job, own in self.passes:
            spans.append((job, start, start + len(own.tokens)))
            start += len(own.tokens)
        return spans

    @property
    def tokens(self) -> list[int]:
        """All of them."""
        return [token for _, own in self.passes for token in own.tokens]

    @property
    def positions(self) -> Tensor:
        """Each job's from zero."""
        return torch.cat([torch.arange(len(own.tokens)) for _, own in self.passes])

    @cached_property
    def rows(self) -> Tensor:
        """Where the next token counts, in the row."""
        return torch.cat([own.rows + start for (_, own), (_, start, _) in zip(self.passes, self.spans, strict=True)])

    @cached_property
    def targets(self) -> Tensor:
        """Those next tokens."""
        return torch.cat([own.targets for _, own in self.passes])

    @cached_property
    def shares(self) -> Tensor:
        """What each counted token's loss is of its job's mean loss, in float64."""
        return self.repeated([1 / len(own.rows) for _, own in self.passes])

    def repeated(self, values: Sequence[float]) -> Tensor:
        """A value of each job, at each of its counted tokens `[counted tokens]`."""
        counts = torch.tensor([len(own.rows) for _, own in self.passes])
        return torch.tensor(values, dtype=torch.float64).repeat_interleave(counts)

    def by_job(self, values: Tensor) -> dict[int, float]:
        """The sums over each job's counted tokens, of values `[counted tokens]`."""
        parts = values.split([len(own.rows) for _, own in self.passes])
        return dict(zip(self.jobs, torch.stack([part.sum() for part in parts]).tolist(), strict=True))
