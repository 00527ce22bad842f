"""From what a command names to a run that has ended: its study is read with its options, announced, and run."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import typer

from demograd import files, models, tasks
from demograd import report as reports
from demograd import study as studies
from demograd.cli.options import Many, rates_from
from demograd.cli.printing import output, say_path
from demograd.errors import LONGEST_PART, UserError, shortened

LONGEST_FIRST = 200
"""Characters of what a command says first, which may name a study or a model of any length."""


def say_first(sentence: str) -> None:
    """On standard error, before anything that is heavy is imported: a command that works for long says so at once."""
    if not output().is_quiet:
        typer.echo(f"{shortened(sentence, LONGEST_FIRST)} …", err=True)


def read_named_studies(
    name: str, as_released: bool, changes: dict[str, Any], learning_rate: Many, overrides: Many = None
) -> "list[studies.Study | studies.SyntheticStudy]":
    """All studies of a group of presets, or one.

    Raises:
        UserError: see `read_named_study`; or learning rates for several studies.
    """
    if name not in studies.preset_groups():
        return [read_named_study(name, as_released, changes, learning_rate, overrides)]
    if learning_rate:
        raise UserError(f"--learning-rate with {name}, of several studies", "one study", "Run its studies one by one")
    return studies.read_studies(name, as_released=as_released, overrides=overrides or (), **_settings(changes))


def read_named_study(
    name: str, as_released: bool, changes: dict[str, Any], learning_rate: Many, overrides: Many = None
) -> "studies.Study | studies.SyntheticStudy":
    """A preset or a study file, with a command's options in place of its settings.

    Args:
        name: of the preset, or the file.
        as_released: with the settings and defects of what a paper released.
        changes: setting → value; None and [] leave it as it is.
        learning_rate: texts as `rates_from` takes them, for the methods that run.
        overrides: texts of `--set`.

    Raises:
        UserError: there is no such study, a setting is wrong, or a model or task has no such name.
    """
    read = partial(studies.read_study, name, as_released=as_released, overrides=overrides or (), **_settings(changes))
    plan = read()
    if isinstance(plan, studies.SyntheticStudy):
        if learning_rate:
            raise UserError(
                f"--learning-rate with {name}, a synthetic study",
                "a study of a language model",
                "Leave it off; a study file can set training.learning_rate",
            )
        return plan
    for task in plan.tasks:
        if task not in plan.optional_tasks:
            tasks.check_task_name(task)
    for model in plan.models:
        models.check_name(model)
    rates = {method: values for method, values in plan.learning_rates.items() if method in plan.methods}
    if learning_rate:
        return read(learning_rates=rates | rates_from(learning_rate, list(plan.methods)))
    return plan


def _settings(changes: dict[str, Any]) -> dict[str, Any]:
    return {setting: value for setting, value in changes.items() if value not in (None, [])}


def run_with_progress(
    plan: "studies.Study | studies.SyntheticStudy", out: str | None, workers: "studies.Workers", retry_failed: bool
) -> "studies.Run":
    """Run the study, and say how far it is: in bars, in a log in lines, and not at all where it is to be quiet.

    Raises:
        UserError: something in the study cannot work.
    """
    from demograd.cli.progress import progress

    to = None if out is None else files.place(out)
    with progress() as watch:
        return studies.run_study(plan, to, watch, workers=workers, retry_failed=retry_failed)


def write_page(*folders: "files.Place", name: str = "Report") -> None:
    """Write the page of these run folders, and print its path."""
    page = reports.write_report(*folders).resolve()
    say_path(name, page)
    output().facts["report"] = page


def write_formats(folders: "Sequence[files.Place]", formats: str) -> None:
    """Write what is asked for of these run folders, and print its paths."""
    for path in reports.write_formats(folders, reports.check_formats(formats)):
        is_page = path.suffix == ".html"
        say_path("Report" if is_page else "For a paper", path.resolve())
        output().facts["report" if is_page else "paper"] = path.resolve()


def collect_runs(runs: "Sequence[studies.Run]") -> None:
    """For scripts: what `collect_folders` collects, and what failed."""
    collect_folders([run.folder.path for run in runs])
    output().facts["failed"] = [failure.title for run in runs for failure in run.failed]


def collect_folders(folders: "Sequence[files.Place]") -> None:
    """For scripts: folder, finding and verdicts of a run; of several, a list of them."""
    if not output().is_json:
        return
    runs = [_facts(reports.read_run(folder)) for folder in folders]
    output().facts |= runs[0] if len(runs) == 1 else {"runs": runs}


def _facts(run: "reports.ReportedRun") -> dict[str, Any]:
    names = ("task", "labels", "k", "compared", "verdict", "reason")
    verdicts = [
        {"claim": claim["name"], **{name: comparison.get(name) for name in names}}
        for claim in run.claims["claims"]
        for comparison in claim["comparisons"]
    ]
    return {"folder": run.path.resolve(), "finding": run.finding.sentence, "verdicts": verdicts}


def end(finished: "studies.Run") -> None:
    """The exit code says whether something is missing that the same command would not bring."""
    if failed := finished.failed:
        typer.echo(
            f"demograd: {len(failed)} of the study's parts failed; first "
            f"{shortened(failed[0].title)}: {shortened(failed[0].error, LONGEST_PART)}. Their tracebacks are in "
            f"the folders failures below {finished.folder.path}; --retry-failed tries them again.",
            err=True,
        )
        raise typer.Exit(1)
