"""Runs from a notebook."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demograd.errors import UserError, quoted
from demograd.files import place, read_yaml, run_folder
from demograd.progress import default_watch
from demograd.report import Comparison, compare_runs
from demograd.study.language_model.spec import Study, make_study
from demograd.study.run import Run, run_study
from demograd.study.spec.files import read_study
from demograd.study.spec.validation import validated
from demograd.study.store.folder import RunFolder
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.workers import Workers
from demograd.study.workers.progress import Watch


def run(
    study: Study | SyntheticStudy | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    workers: Workers | None = None,
    retry_failed: bool = False,
    watch: Watch | None = None,
    **settings: Any,
) -> Run:
    """Run a study, or what is left of it in its folder, as `demograd run` does.

    Args:
        study: a study, its settings, the name of a preset, or a study file (.yaml).
        out: the run folder, or a URL of one; None: `runs/`, and the study's name.
        workers: who does the work; None: this process.
        retry_failed: try again what failed before.
        watch: told how far the run is; None: a notebook shows bars, and a script prints lines.
        settings: take the place of the study's own: `k=[8, 16]`.

    Raises:
        UserError: it is no study, or something in it cannot work.
    """
    if isinstance(study, str | Path):
        study = read_study(str(study), **settings)
    elif isinstance(study, Mapping):
        study = _of_either_kind({**study, **settings})
    elif not isinstance(study, Study | SyntheticStudy):
        raise UserError(
            f"demograd.run({quoted(study)})",
            "a study, its settings as a dict, the name of a preset, or a study file (.yaml)",
            "Try demograd.run('quickstart')",
        )
    elif settings:
        study = validated(type(study), {**study.model_dump(exclude_unset=True), **settings})
    folder = None if out is None else place(out)
    if watch is not None:
        return run_study(study, folder, watch, workers=workers, retry_failed=retry_failed)
    with default_watch() as shown:
        return run_study(study, folder, shown, workers=workers, retry_failed=retry_failed)


def open_run(folder: str | Path) -> Run:
    """A run that has ended, from its folder, or a URL of it.

    Raises:
        UserError: there is none, or its study cannot be read.
    """
    path = run_folder(folder)
    return Run(RunFolder(path), _of_either_kind(read_yaml(path / "study.yaml")))


def compare(*runs: Run | str | Path) -> Comparison:
    """Compare runs with the first of them, as `demograd compare` does: `.table()` is a table of every difference,
    `.write(path)` writes the page.

    Args:
        runs: two or more: runs, their folders, or URLs of them.

    Raises:
        UserError: there are fewer than two, one is no run, or they have nothing in common.
    """
    return compare_runs(*(run.folder.path if isinstance(run, Run) else run_folder(run) for run in runs))


def _of_either_kind(settings: Mapping[str, Any]) -> Study | SyntheticStudy:
    is_synthetic = settings.get("kind") == "synthetic"
    return validated(SyntheticStudy, settings) if is_synthetic else make_study(dict(settings))
