"""A unit of work: it has its key, knows what it needs, and how to compute itself; a run is the units that its folder
lacks. What is done, failed or to do of a folder is what its units say.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import groupby
from typing import ClassVar

from demograd.study.store.failures import attempt, failed_keys, forget, keep_failure
from demograd.study.store.folder import RunFolder
from demograd.study.workers.progress import JobWatch


class State(Enum):
    """How far a unit is in a folder."""

    DONE = "done"
    FAILED = "failed"
    """It failed, or what it needs did."""
    TO_DO = "to do"


class Unit(ABC):
    """A part of a study that is computed whole and kept at once. It is pickled to reach its worker."""

    kind: ClassVar[str]
    """As a user reads of it: `cell`, of several with an s."""
    is_long: ClassVar[bool] = False
    """Whether it is work enough for a worker by itself."""
    key: str
    """Names its file, and its failure: a hash of everything that its numbers depend on, but for rounding."""

    @property
    def title(self) -> str:
        """Its name for people."""
        return str(self)

    @property
    def needs(self) -> "Sequence[Unit]":
        """Units that must be done before; all of them are in its batch. Where they are not, it does their work."""
        return ()

    @property
    def batch(self) -> Hashable:
        """Equal for units that share what is loaded for them: one worker computes these one after the other, unless
        others would have nothing to do."""
        return self.key

    def is_done(self, folder: RunFolder) -> bool:
        """Whether all that it leaves is in the folder, or was in the cache."""
        return folder.has_cell(self.key)

    @abstractmethod
    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """Compute it, and keep it in the folder."""


def states(units: Sequence[Unit], folder: RunFolder) -> list[State]:
    """How far each unit is. What failed counts as failed, and so does what needs it: it is not tried again unasked."""
    failed = failed_keys(folder)
    return [_state(unit, folder, failed) for unit in units]


def _state(unit: Unit, folder: RunFolder, failed: Iterable[str]) -> State:
    if unit.key in failed or any(need.key in failed for need in unit.needs):
        return State.FAILED
    return State.DONE if unit.is_done(folder) else State.TO_DO


def forget_done(units: Iterable[Unit], folder: RunFolder) -> None:
    """Forget the failures of units that are done by now, such as by another study's run."""
    failed = failed_keys(folder)
    forget(folder, [unit.key for unit in units if unit.key in failed and unit.is_done(folder)])


@dataclass(frozen=True)
class Batch:
    """The job of computing units that share what is loaded for them, one after the other, each kept once it is done.

    What fails is kept as failed, and the next unit goes on; what a killed worker was doing is given up, and the rest
    goes on.
    """

    units: tuple[Unit, ...]
    folder: RunFolder

    def run(self, watch: JobWatch) -> None:
        """Compute every unit that is neither done nor failed."""
        for unit in self.units:
            if _state(unit, self.folder, failed_keys(self.folder)) is State.TO_DO:
                attempt(self.folder, unit.key, unit.title, partial(unit.compute, self.folder, watch), watch.say)

    def give_up(self, why: str, watch: JobWatch) -> bool:
        """Keep the first unit that is still to do as failed, which is the one that was computed when its worker was
        killed; whether there is more to do."""
        for unit in self._left()[:1]:
            keep_failure(self.folder, unit.key, unit.title, why, "", watch.say)
        return bool(self._left())

    def _left(self) -> list[Unit]:
        return [
            unit
            for unit, state in zip(self.units, states(self.units, self.folder), strict=True)
            if state is State.TO_DO
        ]


def shared_out(units: Iterable[Unit], workers: int, work: Callable[[Unit], int]) -> list[list[Unit]]:
    """The units in jobs, in order: those of one batch together, which follow each other.

    Where there are fewer batches with long units than twice the workers, one would end long after the others. There the
    long units of a batch are a job each, and so are the others of each kind: first what others need, then those with
    the most work. Who begins with a unit while what it needs is still computed by another waits for that, or does it.
    """
    batches = [[*group] for _, group in groupby(units, key=lambda unit: unit.batch)]
    if not are_few(sum(any(unit.is_long for unit in batch) for batch in batches), workers):
        return batches
    jobs = [
        [*job]
        for batch in batches
        for _, job in groupby(batch, key=lambda unit: unit.key if unit.is_long else unit.kind)
    ]
    return sorted(jobs, key=lambda job: (bool(job[0].needs), -sum(map(work, job))))


def are_few(n_batches: int, workers: int) -> bool:
    """Whether so many batches with long units are too few to give each worker whole ones."""
    return workers > 1 and 0 < n_batches < 2 * workers
