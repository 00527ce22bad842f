"""Runs beside each other, as a table and as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from demograd.errors import UserError, shortened_list
from demograd.files import Place, place, written_whole
from demograd.report.compare.differences import ScoreDifference, score_differences
from demograd.report.compare.settings import DifferingSetting, differing_settings
from demograd.report.compare.verdicts import ComparedVerdict, compared_verdicts
from demograd.report.run import ReportedRun, read_run

FIRST_LETTER = ord("A")
MOST_RUNS = 26


@dataclass(frozen=True)
class Comparison:
    """Two runs or more: the first is A, with which each of the others is compared."""

    runs: tuple[ReportedRun, ...]

    @property
    def letters(self) -> tuple[str, ...]:
        """`A`, `B`, …: what the runs are called."""
        return tuple(chr(FIRST_LETTER + place) for place in range(len(self.runs)))

    @property
    def others(self) -> tuple[str, ...]:
        """The letters of all runs but A."""
        return self.letters[1:]

    @cached_property
    def settings(self) -> list[DifferingSetting]:
        """What differs in the studies, and in what they ran on."""
        return differing_settings(self.runs)

    @cached_property
    def differences(self) -> dict[str, list[ScoreDifference]]:
        """Letter → every score that this run shares with A."""
        return dict(zip(self.others, score_differences(self.runs[0], self.runs[1:]), strict=True))

    @cached_property
    def verdicts(self) -> list[ComparedVerdict]:
        """Every comparison behind the claims, in each run."""
        return compared_verdicts(self.runs)

    def table(self) -> pd.DataFrame:
        """One difference a row, to compute with.

        Columns: `run`, the letter of the run that A is compared with; `task`, `labels`, `k`, `weights`, `method`,
        `learning_rate` of that run; `metric`, `setting`, `versus` as in `results.parquet`; `value_a` and `value`, of A
        and of the run; `difference`, `value` minus `value_a` over what both have, with its 95 % interval `ci_low`,
        `ci_high`; `p_value`, and `p_corrected` for all differences of the metric, of all runs together (Holm);
        `paired`, `by set and query`, `by set` or `no`; `n_sets`; `outcome`, `higher`, `lower`, `identical` or `open`;
        `reason`.
        """
        rows = [
            _row(letter, difference) for letter, differences in self.differences.items() for difference in differences
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def write(self, path: str | Place | None = None) -> Place:
        """Write the page, whole or not at all, and return its path.

        Args:
            path: of the page; None: `compare.html` beside the folder of A.

        Raises:
            UserError: it cannot be written.
        """
        from demograd.report.compare.page import render

        to = self.runs[0].path.resolve().parent / "compare.html" if path is None else place(path)
        text = render(self)
        try:
            written_whole(to, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"{to} cannot be written ({error.strerror})", "a file in a folder of yours", "Name another with --out"
            ) from error
        return to

    def __repr__(self) -> str:
        """One line: which runs."""
        folders = (f"{letter}={str(run.path)!r}" for letter, run in zip(self.letters, self.runs, strict=True))
        return f"Comparison({', '.join(folders)})"


_COLUMNS = (
    "run",
    "task",
    "labels",
    "k",
    "weights",
    "method",
    "learning_rate",
    "metric",
    "setting",
    "versus",
    "value_a",
    "value",
    "difference",
    "ci_low",
    "ci_high",
    "p_value",
    "p_corrected",
    "paired",
    "n_sets",
    "outcome",
    "reason",
)


def _row(letter: str, difference: ScoreDifference) -> dict[str, Any]:
    _, variant = difference.variants
    test, interval = difference.test, difference.test.interval
    of_variant = ("task", "labels", "k", "weights", "method", "learning_rate")
    return {
        "run": letter,
        **{name: getattr(variant, name) for name in of_variant},
        **vars(difference.score),
        "value_a": difference.numbers[0].value,
        "value": difference.numbers[1].value,
        "difference": test.difference,
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
        "p_value": test.p_value,
        "p_corrected": difference.decision.p_value,
        "paired": difference.paired,
        "n_sets": test.n_seeds,
        "outcome": difference.outcome,
        "reason": difference.decision.reason,
    }


def compare_runs(*runs: ReportedRun | Place) -> Comparison:
    """Compare runs with the first of them.

    Args:
        runs: run folders, or runs that were read.

    Raises:
        UserError: there are fewer than two, or more than 26; a folder is no run folder (`read_run`), or is named twice;
            one run is of a language model and another of small networks; or no task is in all of them.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise UserError(
            f"{len(runs)} run folder{'s' * (len(runs) != 1)} to compare", f"two to {MOST_RUNS}", "Name two, or more"
        )
    read = tuple(run if isinstance(run, ReportedRun) else read_run(run) for run in runs)
    folders = [str(run.path.resolve()) if isinstance(run.path, Path) else str(run.path) for run in read]
    if len(set(folders)) < len(folders):
        twice = next(folder for folder in folders if folders.count(folder) > 1)
        raise UserError(f"{twice}, named twice", "two different run folders", "Name another run")
    _check_comparable(read)
    return Comparison(read)


def _check_comparable(runs: Sequence[ReportedRun]) -> None:
    synthetic = [run for run in runs if run.is_synthetic]
    if 0 < len(synthetic) < len(runs):
        language = next(run for run in runs if not run.is_synthetic)
        raise UserError(
            f"{synthetic[0].path}, of small networks, and {language.path}, of a language model",
            "runs of one kind, which have scores in common",
            "Use demograd report for one page of both",
        )
    tasks = [set(run.results["task"].dropna()) for run in runs]
    if not set.intersection(*tasks):
        by_run = "; ".join(
            f"{run.path}: {shortened_list(sorted(names))}" for run, names in zip(runs, tasks, strict=True)
        )
        raise UserError(f"No task is in all of these runs ({by_run})", "runs with a task in common", "Name others")
