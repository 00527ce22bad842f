"""A run as it lies in its folder, for notebooks."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from demograd.errors import UserError
from demograd.files import read_table
from demograd.observe import Observation
from demograd.study.experiment import AnyStudy, experiment_of
from demograd.study.language_model.grid import Cell, cells
from demograd.study.language_model.units import FineTuning
from demograd.study.schema import Study
from demograd.study.store.failures import Failure, failures
from demograd.study.store.folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A run that has ended. Nothing is read before it is asked for."""

    folder: RunFolder
    study: AnyStudy
    """As it ran: every setting resolved, and learning rates filled in. The folder's keys follow from no other."""

    def __repr__(self) -> str:
        """One line: where it is, what of, and how much of it there is."""
        return f"Run({str(self.folder.path)!r}, study {self.study.name!r}, {experiment_of(self.study).size})"

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
        return list(cells(self.study)) if isinstance(self.study, Study) else []

    def observations(self, cell: Cell) -> tuple[Observation, Observation]:
        """ZSL and ICL of a cell's world, with all that was recorded.

        Raises:
            UserError: it is no cell of this study, or its world was not observed: it failed, or was not reached.
        """
        if cell not in self.cells():
            raise UserError(f"{cell} of {self.folder.path}", "a cell of this study", "Take one of Run.cells()")
        units = experiment_of(self.study).units(self.folder)
        unit = next(unit for unit in units if isinstance(unit, FineTuning) and unit.cell == cell).observations
        keys = unit.zsl_key, unit.icl_key
        if not all(map(self.folder.has_observation, keys)):
            failed = failures(self.folder, [unit.key]).values()
            why = next((failure.status for failure in failed), "not run yet")
            raise UserError(
                f"There are no observations of {cell.world} ({why})",
                "a world that was observed",
                "Run the study there again, with --retry-failed for what failed",
            )
        zsl, icl = map(self.folder.load_observation, keys)
        return zsl, icl

    @cached_property
    def failed(self) -> tuple[Failure, ...]:
        """What could not be measured, each with its traceback."""
        units = experiment_of(self.study).units(self.folder)
        return tuple(failures(self.folder, [unit.key for unit in units]).values())
