"""A run as it lies in its folder, for notebooks."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from demograd.errors import UserError
from demograd.files import read_table, read_yaml
from demograd.observe import Observation
from demograd.study.cells import Cell, cells
from demograd.study.engine.jobs import all_keys
from demograd.study.schema import Study, make_study
from demograd.study.store.failures import Failure, failures
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import observation_key, world_key
from demograd.study.store.stored import STUDY
from demograd.study.synthetic.schema import BESIDE, SyntheticStudy
from demograd.study.synthetic.trained import keys as trainings


@dataclass(frozen=True)
class Run:
    """A run that has ended. Nothing is read before it is asked for."""

    folder: RunFolder
    study: Study | SyntheticStudy
    """As it ran: every setting resolved, and learning rates filled in. The folder's keys follow from no other."""

    def __repr__(self) -> str:
        """One line: where it is, what of, and how much of it there is."""
        if isinstance(self.study, SyntheticStudy):
            study = self.study
            parts: dict[str, Collection[object]] = {
                "worlds": study.worlds,
                "networks": study.networks,
                "seeds": study.seeds,
            }
            size = ", ".join(f"{len(of)} {what}" for what, of in parts.items())
        else:
            size = f"{len(self.cells())} cells"
        return f"Run({str(self.folder.path)!r}, study {self.study.name!r}, {size})"

    def results(self) -> pd.DataFrame:
        """One number a row (docs/run-folder.md).

        Raises:
            UserError: the run has not ended.
        """
        file = self.folder.path / "results.parquet"
        if not file.is_file():
            raise UserError(
                f"{self.folder.path} has no results.parquet",
                "a run that has ended",
                "Run the study there again: it goes on where it stopped",
            )
        return read_table(file)

    def cells(self) -> list[Cell]:
        """All cells of a study of a language model, those that failed too; a synthetic study has none."""
        return [] if isinstance(self.study, SyntheticStudy) else list(cells(self.study))

    def observations(self, cell: Cell) -> tuple[Observation, Observation]:
        """ZSL and ICL of a cell's world, with all that was recorded.

        Raises:
            UserError: it is no cell of this study, or its world was not observed: it failed, or was not reached.
        """
        if isinstance(self.study, SyntheticStudy) or cell not in self.cells():
            raise UserError(f"{cell} of {self.folder.path}", "a cell of this study", "Take one of Run.cells()")
        inputs = self.folder.inputs
        keys = [observation_key(self.study, cell.world, setting, inputs) for setting in ("ZSL", "ICL")]
        if not all(map(self.folder.has_observation, keys)):
            failed = failures(self.folder, [world_key(self.study, cell.world, inputs)]).values()
            why = next((one.status for one in failed), "not run yet")
            raise UserError(
                f"There are no observations of {cell.world} ({why})",
                "a world that was observed",
                "Run the study there again, with --retry-failed for what failed",
            )
        zsl, icl = map(self.folder.load_observation, keys)
        return zsl, icl

    @property
    def beside(self) -> "Run | None":
        """The run of the language model beside a synthetic study, as its own folder tells it; None without one.

        The synthetic study has that language model's settings as they were given: learning rates that a sweep chose,
        and tasks that could not be had, are known to the run alone.
        """
        folder = RunFolder(self.folder.path / BESIDE)
        if not isinstance(self.study, SyntheticStudy) or self.study.language_model is None:
            return None
        if not (folder.path / STUDY).is_file():
            raise UserError(
                f"{folder.path} has no {STUDY}",
                "the run of the language model beside",
                "Run the study there again: it goes on where it stopped",
            )
        return Run(folder, make_study(read_yaml(folder.path / STUDY)))

    @cached_property
    def failed(self) -> tuple[Failure, ...]:
        """What could not be measured, each with its traceback; of a language model beside a synthetic study, too."""
        if isinstance(self.study, SyntheticStudy):
            of_beside = () if self.beside is None else self.beside.failed
            return (*failures(self.folder, trainings(self.study)).values(), *of_beside)
        return tuple(failures(self.folder, all_keys(self.study, self.folder.inputs)).values())
