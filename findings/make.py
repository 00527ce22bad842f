"""The runs behind docs/findings.md: each goes to its report, and what the page needs is collected beside this file.

    python findings/make.py [NAME …] [--small] [--collect-only] [--runs DIR] [--to DIR]

`runs.yaml` says which runs there are. A run folder that is finished is not run again; those that were made elsewhere
are named with `--runs`. This script stands beside its data and outside the package, as benchmarks do: it uses demograd
as anyone can, and nothing in demograd needs it. The manual's hook `findings.py` makes the page of what is collected.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from demograd import open_run, read_study, run
from demograd.errors import UserError, shortened_list, unknown_name
from demograd.files import read_json, read_table, write_json, write_table
from demograd.report import read_run, write_report
from demograd.study import SyntheticStudy

FINDINGS = Path(__file__).parent
RUNS = Path("runs") / "findings"
SMALL_RUNS = Path("runs") / "findings-small"
LIMIT = 3_000_000
"""Bytes of all that is collected, which the repository carries."""
COPIED = ("study.yaml", "claims.json", "validity.json")
FINISHED = ("study.yaml", "results.parquet", "claims.json", "provenance.json", "report.html")
"""The files of a run that has ended; the page of it is written last."""
OVER_TRAINING = ("copying_sensitivity", "multiple_distance")
"""Metrics whose course over training the page shows; of all others their end."""
MACHINE = ("processor", "cores", "threads", "device")
"""What is said of the machine of a run."""
FREE = {"name", "about", "notes", "device", "learning_rates"}
"""Settings in which a run may differ from its row of the table: a run has its rates filled in."""
PATH = re.compile(r"(?:^|(?<=[\s\"'(=,]))(?:~?/(?:[\w.+-]+/)+[\w.+-]*|[A-Za-z]:\\|file://)", re.MULTILINE)
"""A path of a machine, in a text."""
SYNTHETIC = ("training.steps=20", "seeds=0,1", "tuning_sequences=512", "test_sequences=512", "instances=3")
OWN_TRAINING = {"steps": 20, "batch": 64, "starts": 2, "trial": 5, "warmup": 5}
LANGUAGE_MODEL = ("k=4", "queries=8", "seeds=0,1")
"""Settings of `--small`: every network, reference and method stays, but for seconds."""

Question = Mapping[str, Any]
"""A row of `runs.yaml`."""


def questions() -> dict[str, Question]:
    """The table of runs, by name."""
    rows: dict[str, Question] = yaml.safe_load((FINDINGS / "runs.yaml").read_text(encoding="utf-8"))
    return rows


def study_of(question: Question, *, small: bool = False) -> Any:
    """The study that a row of the table asks for, or the same in a few seconds."""
    overrides = [f"{path}={value}" for path, value in question.get("set", {}).items()]
    study = read_study(question["preset"], overrides=overrides)
    return read_study(question["preset"], overrides=[*overrides, *_smaller(study)]) if small else study


def _smaller(study: Any) -> Iterator[str]:
    if not isinstance(study, SyntheticStudy):
        yield from (*LANGUAGE_MODEL, f"tasks={study.tasks[0]},")
        return
    yield from SYNTHETIC
    for name, network in study.networks.items():
        for setting, value in OWN_TRAINING.items():
            if getattr(network.training, setting) is not None:
                yield f"networks.{name}.training.{setting}={value}"


def is_finished(folder: Path) -> bool:
    """Whether a run has ended there, with its page."""
    return all((folder / name).is_file() for name in FINISHED)


def check_study(folder: Path, study: Any) -> None:
    """Raises: UserError where a run folder holds another study than this one."""
    held, expected = (settings.model_dump(mode="json", exclude=FREE) for settings in (open_run(folder).study, study))
    if differing := [name for name in {**expected, **held} if held.get(name) != expected.get(name)]:
        raise UserError(
            f"{folder} holds another study, which differs in {', '.join(differing)}",
            "a run of the study that findings/runs.yaml names",
            "Name another folder with --runs, or remove this one",
        )


def run_to_report(study: Any, folder: Path) -> None:
    """Run a study, or what is left of it, and write its page.

    **Raises:** UserError if something in it cannot work, or a part of it failed.
    """
    finished = run(study, folder)
    if failed := finished.failed:
        raise UserError(
            f"{len(failed)} parts of {folder} failed, first {failed[0].title}: {failed[0].error}",
            "a whole run",
            f"Look into {folder / 'failures'}, and try again with demograd run --retry-failed",
        )
    write_report(folder)


def collect(folder: Path, to: Path) -> None:
    """What the page needs of a finished run, as a run folder that can be read: numbers over all sets and seeds alone.

    **Raises:** UserError if the folder cannot be read, or holds a path of a machine.
    """
    is_synthetic = read_run(folder).is_synthetic
    to.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, to / name)
    write_table(to / "results.parquet", aggregates(read_table(folder / "results.parquet"), is_synthetic))
    provenance = read_json(folder / "provenance.json")
    machine = {name: value for name, value in provenance.get("machine", {}).items() if name in MACHINE}
    write_json(to / "provenance.json", provenance | {"machine": machine})
    if (folder / "matching.parquet").is_file():
        write_table(to / "matching.parquet", leading_matrices(read_table(folder / "matching.parquet")))
    check_no_paths(to)
    read_run(to)


def aggregates(results: pd.DataFrame, is_synthetic: bool) -> pd.DataFrame:
    """The rows over all sets or seeds, heads and layers, at the end of training."""
    is_whole = results[["seed", "head", "layer"]].isna().all(axis=1)
    is_course = results["metric"].isin(OVER_TRAINING) if is_synthetic else False
    return results[is_whole & (results["step"].isna() | is_course)]


def leading_matrices(matching: pd.DataFrame) -> pd.DataFrame:
    """The matrices of the leading claim: SimAOU of trained weights at the end of fine-tuning."""
    return matching[(matching["metric"] == "sim_aou") & (matching["weights"] == "trained") & matching["step"].isna()]


def check_no_paths(folder: Path) -> None:
    """Raises: UserError where a file says where something lies on a machine."""
    for file in sorted(folder.iterdir()):
        if path := PATH.search("\n".join(_texts(file))):
            raise UserError(
                f"{file.name} of {folder.name} holds the path {path[0]}",
                "findings of models and data that have a public name",
                "Run it with names, not paths",
            )


def _texts(file: Path) -> Iterator[str]:
    if file.suffix != ".parquet":
        yield file.read_text(encoding="utf-8")
        return
    for _, column in read_table(file).select_dtypes(exclude="number").items():
        yield from map(str, column.dropna().unique())


def put(collected: Path, to: Path) -> int:
    """Put a collected folder in its place, unless the repository would become too large.

    **Raises:** UserError if all folders together would have more than `LIMIT` bytes.
    """
    others = [folder for folder in to.iterdir() if folder.is_dir() and folder.name != collected.name]
    size = sum(file.stat().st_size for folder in (collected, *others) for file in folder.rglob("*") if file.is_file())
    if size > LIMIT:
        raise UserError(
            f"{size:,} bytes of findings, with {collected.name}", f"at most {LIMIT:,}", "Collect less, or fewer runs"
        )
    if (to / collected.name).exists():
        shutil.rmtree(to / collected.name)
    shutil.copytree(collected, to / collected.name)
    return size


def make(
    names: Sequence[str], runs: Sequence[Path], to: Path, *, small: bool = False, collect_only: bool = False
) -> None:
    """Run and collect what is named; of nothing, everything.

    Args:
        names: of `runs.yaml`.
        runs: where run folders with these names may be; what is not finished in any is run in the first.
        to: where to collect.
        small: in a few seconds each.
        collect_only: run nothing.

    Raises:
        UserError: there is no such name, a run cannot work or is another study, or too much would be collected.
    """
    table = questions()
    if unknown := [name for name in names if name not in table]:
        raise unknown_name("run", unknown[0], table, "Name one of findings/runs.yaml")
    to.mkdir(parents=True, exist_ok=True)
    left = []
    for name in names or table:
        study = study_of(table[name], small=small)
        folder = next((place / name for place in runs if is_finished(place / name)), runs[0] / name)
        if not is_finished(folder):
            if collect_only:
                left.append(name)
                continue
            print(f"{name}: running in {folder}", flush=True)
            run_to_report(study, folder)
        check_study(folder, study)
        with tempfile.TemporaryDirectory() as beside:
            collect(folder, Path(beside) / name)
            size = put(Path(beside) / name, to)
        print(f"{name}: collected; {size:,} bytes in all", flush=True)
    if left:
        print(f"Not run yet: {shortened_list(left)}", flush=True)


def main() -> None:
    """Read the command line; a mistake is one message and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="runs of runs.yaml; by default all")
    parser.add_argument("--small", action="store_true", help="a few seconds each, kept apart from the findings")
    parser.add_argument("--collect-only", action="store_true", help="run nothing")
    parser.add_argument("--runs", type=Path, action="append", metavar="DIR", help="where run folders are; repeatable")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where to collect")
    chosen = parser.parse_args()
    runs = chosen.runs or [SMALL_RUNS if chosen.small else RUNS]
    to = chosen.to or (SMALL_RUNS / "collected" if chosen.small else FINDINGS)
    try:
        make(chosen.names, runs, to, small=chosen.small, collect_only=chosen.collect_only)
    except UserError as error:
        print(f"make findings: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
