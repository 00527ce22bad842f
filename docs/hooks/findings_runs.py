"""The runs of the page Findings: what `findings/runs.yaml` asks, and what was collected of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shlex import quote

import yaml

from demograd.report import ReportedRun, read_run
from demograd.report.sections.comparison import CLAIM
from demograd.study import SyntheticStudy, read_study
from demograd.words import Subject

FINDINGS = Path(__file__).parents[2] / "findings"


@dataclass(frozen=True)
class Question:
    """A row of `findings/runs.yaml`."""

    name: str
    asks: str
    preset: str
    limits: str
    shows: tuple[str, ...] = ()
    """Sections of the run's own page."""
    claims: tuple[str, ...] = (CLAIM,)
    """Of small transformers, the claims that the question is about; of language models, those besides the leading
    one."""
    networks: tuple[str, ...] = ()
    """Those that the question is about, where others are controls; empty: all."""
    references: tuple[str, ...] = ()
    """Likewise."""
    set: Mapping[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> str:
        """`--set model=gemma3-270m`; empty where the preset is run as it is."""
        return " ".join(f"--set {quote(f'{path}={value}')}" for path, value in self.set.items())

    @property
    def command(self) -> str:
        """`demograd run rivals --set model=gemma3-270m`."""
        return f"demograd run {self.preset} {self.changes}".rstrip()

    def is_about(self, subject: Subject) -> bool:
        """Whether network and reference of a comparison are what is asked about."""
        is_asked = not subject.reference or not self.references or subject.reference in self.references
        return is_asked and (not self.networks or subject.network in self.networks)

    @property
    def is_synthetic(self) -> bool:
        """Whether it is about small transformers."""
        return isinstance(read_study(self.preset), SyntheticStudy)


@cache
def questions() -> dict[str, Question]:
    """All of them, by name, in the order of the page."""
    rows = yaml.safe_load((FINDINGS / "runs.yaml").read_text(encoding="utf-8"))
    return {
        name: Question(
            name, **{setting: tuple(value) if isinstance(value, list) else value for setting, value in row.items()}
        )
        for name, row in rows.items()
    }


@cache
def collected(name: str, folder: Path = FINDINGS) -> ReportedRun | None:
    """A collected run; None where it is not there yet."""
    return read_run(folder / name) if (folder / name).is_dir() else None
