"""A run as it lies in its folder, for notebooks."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from demograd.files import read_table
from demograd.observe import Observation
from demograd.study.cells import Cell, cells
from demograd.study.engine.jobs import all_keys
from demograd.study.schema import Study
from demograd.study.store.failures import Failure, failures
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import observation_key
from demograd.study.synthetic.schema import BESIDE, SyntheticStudy
from demograd.study.synthetic.trained import keys as trainings


@dataclass(frozen=True)
class Run:
    """A run that has ended. Nothing is read before it is asked for."""

    folder: RunFolder
    study: Study | SyntheticStudy

    def results(self) -> pd.DataFrame:
        """One number a row (docs/run-folder.md)."""
        return read_table(self.folder.path / "results.parquet")

    def cells(self) -> list[Cell]:
        """All cells of a study of a language model, those that failed too; a synthetic study has none."""
        return [] if isinstance(self.study, SyntheticStudy) else list(cells(self.study))

    def observations(self, cell: Cell) -> tuple[Observation, Observation]:
        """ZSL and ICL of a cell's world, with all that was recorded."""
        assert isinstance(self.study, Study)
        inputs = self.folder.inputs
        zsl, icl = (observation_key(self.study, cell.world, setting, inputs) for setting in ("ZSL", "ICL"))
        return self.folder.load_observation(zsl), self.folder.load_observation(icl)

    @cached_property
    def failed(self) -> tuple[Failure, ...]:
        """What could not be measured, each with its traceback; of a language model beside a synthetic study, too."""
        if isinstance(self.study, SyntheticStudy):
            beside = self.study.language_model_beside()
            of_beside = () if beside is None else Run(RunFolder(self.folder.path / BESIDE), beside).failed
            return (*failures(self.folder, trainings(self.study)).values(), *of_beside)
        return tuple(failures(self.folder, all_keys(self.study, self.folder.inputs)).values())
