"""Which sections of the page are of which kind of run."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.report.conftest import Fake, write_run
from tests.report.rows import write_everything
from tests.report.synthetic.rows import everything, matrices, row, synthetic_run

from demograd.report import read_run
from demograd.report.run import read_matrices
from demograd.report.section import registered_sections
from demograd.report.sections.curves import CURVES
from demograd.study import SyntheticStudy, read_studies
from demograd.words import Setting


def fitting_sections(preset: str, folder: Path) -> set[str]:
    """The names of the sections that a run of a preset may have; of several studies, those of any."""
    of_networks, of_models = _sections(folder)
    of_studies = [of_networks if isinstance(study, SyntheticStudy) else of_models for study in read_studies(preset)]
    return set().union(*of_studies)


@cache
def _sections(folder: Path) -> tuple[set[str], set[str]]:
    """Those that say something of a synthetic run with every curve; those of a language model's, or of no such run."""
    of_small = [columns for columns in everything() if columns["setting"] not in (Setting.ZSL, Setting.ICL)]
    networks = synthetic_run(*of_small, *_curves(), matrices=tuple(map(read_matrices, matrices())))
    models = read_run(write_everything(write_run(folder / "run", Fake(layers=3, seeds=5, weights=("trained",)))))
    sections = registered_sections()
    of_networks, of_models = (
        {section.name for section in sections if section.make(run) is not None} for run in (networks, models)
    )
    return of_networks, of_models | ({section.name for section in sections} - of_networks)


def _curves() -> Iterator[dict[str, Any]]:
    """Two points of each."""
    return (row(curve.metric, 1.0, **{curve.column: x}) for curve in CURVES for x in (1, 2))
