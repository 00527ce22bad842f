"""What to run, the grid of its cells, running it and keeping it."""

from demograd.study.cells import Cell, cells
from demograd.study.folder import RunFolder
from demograd.study.run import Run, run_study
from demograd.study.schema import METHODS, Study, make_study, preset_names, read_study
from demograd.study.watch import Silent, Watch

__all__ = [
    "METHODS", "Cell", "Run", "RunFolder", "Silent", "Study", "Watch", "cells", "make_study", "preset_names",
    "read_study", "run_study",
]  # fmt: skip
