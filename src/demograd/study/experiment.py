"""The contract of a kind of study: what a run of it needs to know, whatever the kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from demograd.study.language_model.spec import Study
from demograd.study.rows import Row
from demograd.study.store.folder import RunFolder
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.unit import Unit

AnyStudy = Study | SyntheticStudy


class Experiment(ABC):
    """A study, and how it is run. Everything but `prepared` needs a study whose every setting is resolved."""

    study: AnyStudy

    @property
    @abstractmethod
    def size(self) -> str:
        """How much it is, in a few words: `12 cells`."""

    @abstractmethod
    def prepared(self, say: Callable[[str], None]) -> Experiment:
        """The same with every setting resolved, and ready to be run.

        Raises:
            UserError: something in the study cannot work; it is found here, before a folder is made.
        """

    @abstractmethod
    def free(self) -> None:
        """Free what was loaded to prepare the study: workers elsewhere need the memory."""

    @abstractmethod
    def begin(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Keep in the folder what its units are named by, beside the study."""

    @abstractmethod
    def units(self, folder: RunFolder) -> list[Unit]:
        """All units, in the order in which they are computed; those of one batch follow each other."""

    @abstractmethod
    def work(self, unit: Unit) -> int:
        """Optimizer steps and queries of a unit, which the whole progress bar counts."""

    @abstractmethod
    def equipped(self, batch: Sequence[Unit]) -> Sequence[Unit]:
        """The units of a batch with what a worker needs for them; made late, for all at once would fill the memory."""

    @abstractmethod
    def rows(self, folder: RunFolder) -> Iterator[Row]:
        """The rows of the results table, from what the units left."""

    @abstractmethod
    def judge(self, folder: RunFolder) -> None:
        """Keep what is said of the results, such as checks of validity and claims."""

    @abstractmethod
    def device(self) -> str:
        """The device it computes on, for the provenance."""

    @abstractmethod
    def facts(self, folder: RunFolder) -> dict[str, Any]:
        """Facts of this kind of study for the provenance, beside versions, machine and time."""


def experiment_of(study: AnyStudy) -> Experiment:
    """The experiment that a study describes."""
    if isinstance(study, SyntheticStudy):
        from demograd.study.synthetic.experiment import SyntheticExperiment

        return SyntheticExperiment(study)
    from demograd.study.language_model.experiment import LanguageModelExperiment

    return LanguageModelExperiment(study)
