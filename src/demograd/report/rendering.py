"""From what a page says to its text: what the pages of all kinds of runs have in common."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import jinja2

from demograd.report.finding import Finding
from demograd.report.run import Run
from demograd.report.section import Section
from demograd.report.svg import NUMBER
from demograd.words import COLUMNS

_FILES = {
    "results.parquet": "every number of this page and those behind it, one a row",
    "study.yaml": "the settings, defaults filled in",
    "validity.json": "the validity checks",
    "claims.json": "the claims, with every comparison",
    "matrices.json": "trained weights beside the theoretical ones",
    "provenance.json": "versions, machine, fingerprints and notes",
    "report.html": "this page",
}


def rendered(
    template: str,
    run: Run,
    first: Finding,
    findings: Sequence[Finding],
    sections: Sequence[Section | None],
    **more: Any,
) -> str:
    """A page as text. What comes from the run is untrusted and escaped; the charts have been checked.

    `first` is the sentence that the page begins with, and `findings` are what it sums up; a section that is None is
    about something that the run did not measure. `more` is what this template says besides.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        run=run,
        finding=first,
        findings=findings,
        sections=[section for section in sections if section],
        number_word=NUMBER,
        next_number=count(1).__next__,
        files={name: words for name, words in _FILES.items() if name == "report.html" or (run.path / name).exists()},
        result_columns=COLUMNS,
        **more,
    )
