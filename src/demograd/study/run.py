"""Run a study of either kind: what its folder lacks is computed by workers and kept at once, then all is tabulated."""

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from demograd.display import Grid, html
from demograd.errors import UserError, unknown_name
from demograd.files import Place, check_writable, read_table
from demograd.observe import Observation
from demograd.statistics.number import formatted, p_value
from demograd.study.experiment import AnyStudy, Experiment, experiment_of
from demograd.study.language_model.attention import decoded
from demograd.study.language_model.grid import Cell, cells
from demograd.study.language_model.matching import FILE as MATRICES
from demograd.study.language_model.queries import ATTENTION_FILE, QUERIES_FILE
from demograd.study.language_model.spec import Study
from demograd.study.language_model.units import PromptObservations
from demograd.study.results import write_results
from demograd.study.store.failures import Failure, failed_keys, failures, forget
from demograd.study.store.folder import Computing, RunFolder
from demograd.study.store.keys import path_safe, study_key
from demograd.study.store.session import run_session, with_repair
from demograd.study.unit import Batch, State, Unit, forget_done, shared_out, states
from demograd.study.workers import Workers, get_ready, run_jobs
from demograd.study.workers.local import refuse_in_import
from demograd.study.workers.on_ray import check_reachable
from demograd.study.workers.progress import Silent, Watch
from demograd.words import NO_VERDICTS, WRITE_VERDICTS

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "safetensors", "gguf")
"""Packages whose versions the provenance names."""
COMPARISONS_SHOWN = 8
"""Comparisons that a notebook shows of a run."""


@dataclass(frozen=True)
class Run:
    """A run that has ended. Nothing is read before it is asked for."""

    folder: RunFolder
    study: AnyStudy
    """As it ran: every setting resolved, and learning rates filled in. The folder's keys follow from no other."""

    def __repr__(self) -> str:
        """One line: where it is, what of, and how much of it there is."""
        return f"Run({str(self.folder.path)!r}, study {self.study.name!r}, {experiment_of(self.study).size})"

    def _repr_html_(self) -> str:
        """The verdict, the numbers that it follows from, and where the page is."""
        record = self.folder.read_json("claims.json") or {}
        findings = Grid(
            [(finding["about"], finding["verdict"], finding["reason"]) for finding in record.get("findings", [])],
            ("about", "verdict", "why"),
        )
        tested = next((claim for claim in record.get("claims", []) if claim["comparisons"]), None)
        compared = [] if tested is None else tested["comparisons"]
        numbers = Grid(
            [_cells(comparison) for comparison in compared[:COMPARISONS_SHOWN]],
            ("compared", "numbers, 95 % interval", "corrected p"),
            f"{len(compared)} comparisons" if len(compared) > COMPARISONS_SHOWN else "",
        )
        page = self.folder.path / "report.html"
        sentences = [record["finding"]["sentence"] if "finding" in record else f"{NO_VERDICTS.capitalize()}."]
        if failed := failed_keys(self.folder):
            sentences.append(f"{len(failed)} of its parts failed: Run.failed tells which.")
        if not page.is_file():
            sentences.append(f"demograd report {self.folder.path} writes its page.")
        parts = [grid for grid in (findings, numbers) if grid.rows]
        return html(repr(self), *parts, sentences=sentences, link=str(page) if page.is_file() else "")

    def results(self) -> pd.DataFrame:
        """The results table, one number a row (docs/run-folder.md).

        Raises:
            UserError: the run has not ended.
        """
        return self._table("results.parquet", "a run that has ended")

    def matching(self) -> pd.DataFrame:
        """The matrices of matching, one value a row: ICL on the set `icl_seed` against FT on the set `ft_seed`
        (docs/run-folder.md).

        Raises:
            UserError: the run has not ended, or its study does not match.
        """
        return self._table(MATRICES, "a run of a language model with `matching: true` that has ended")

    def queries(self) -> pd.DataFrame:
        """What was predicted for each query, in ZSL, in ICL with each demonstration set, and in each FT on it
        (docs/run-folder.md).

        Raises:
            UserError: the run has not ended, or is of no language model.
        """
        return self._table(QUERIES_FILE, "a run of a language model that has ended")

    def attention(self) -> pd.DataFrame:
        """What the last token of each of the first queries attends to, with the first demonstration set: `attention`
        is an array [layers, heads, tokens] of probabilities in each row, within 3 % (docs/run-folder.md).

        Raises:
            UserError: the run has not ended, or is of no language model.
        """
        table = self._table(ATTENTION_FILE, "a run of a language model that has ended")
        shapes = zip(table["codes"], table["layers"], table["heads"], strict=True)
        arrays = [decoded(np.frombuffer(codes, np.uint8).reshape(layers, heads, -1)) for codes, layers, heads in shapes]
        return table.drop(columns="codes").assign(attention=pd.Series(arrays, dtype=object))

    def matrix(self, metric: str = "sim_aou", **about: Any) -> pd.DataFrame:
        """One matrix of matching: rows are the demonstration sets of ICL, columns those of FT, by their seeds.

        Args:
            metric: of `demograd list metrics`.
            about: columns of `matching` and their values, as `method="GD", weights="trained"`, where there are several
                matrices; `setting` is FT and `step` the last, unless they are named.

        Raises:
            UserError: a column is unknown, or there is not exactly one matrix of this.
        """
        table = self.matching()
        if unknown := [column for column in about if column not in table]:
            raise unknown_name("column of matching.parquet", unknown[0], map(str, table.columns), "Name one of these")
        chosen = {"metric": metric, "setting": "FT", "step": None} | about
        for column, value in chosen.items():
            table = table[table[column].isna() if value is None else table[column] == value]
        columns = [column for column in table if column not in ("icl_seed", "ft_seed", "value")]
        matrices = table[columns].drop_duplicates()
        if len(matrices) != 1:
            several = {
                column: sorted(set(matrices[column].astype(str))) for column in columns if column != "method_options"
            }
            among = {column: values for column, values in several.items() if len(values) > 1}
            raise UserError(
                f"{len(matrices)} matrices of {', '.join(f'{name} {value}' for name, value in chosen.items())}",
                f"one; they differ in {among}" if among else "one that was measured",
                "Name more of the columns" if among else "Look at Run.matching() for what there is",
            )
        return table.pivot(index="icl_seed", columns="ft_seed", values="value")

    def _table(self, name: str, expected: str) -> pd.DataFrame:
        file = self.folder.path / name
        if not file.is_file():
            raise UserError(
                f"{self.folder.path} has no {name}",
                expected,
                "Run the study there again: it goes on where it stopped",
            )
        return read_table(file)

    @property
    def finding(self) -> str:
        """The sentence with which the page of the run begins.

        Raises:
            UserError: the folder holds no verdicts: the run has not ended, or an older version wrote it.
        """
        verdicts = self.folder.read_json("claims.json") or {}
        if "finding" not in verdicts:
            raise UserError(f"{self.folder.path}: {NO_VERDICTS}", "a run that has ended", WRITE_VERDICTS.capitalize())
        sentence: str = verdicts["finding"]["sentence"]
        return sentence

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
        unit = next(unit for unit in units if isinstance(unit, PromptObservations) and unit.world == cell.world)
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
        """Failures, each with its traceback."""
        units = experiment_of(self.study).units(self.folder)
        return tuple(failures(self.folder, [unit.key for unit in units]).values())


def _cells(comparison: dict[str, Any]) -> tuple[str, str, str]:
    """What is compared, its numbers with their 95 % intervals, and p, of a comparison of `claims.json`."""
    p = comparison.get("p_corrected")
    p_text = "" if p is None else p_value(p)
    if "numbers" in comparison:  # of a synthetic study, whose claims say in which ranges numbers lie
        return comparison["compared"], "; ".join(f"{n['title']} {n['text']}" for n in comparison["numbers"]), p_text
    left, right, difference, low, high = (
        "–" if comparison.get(name) is None else formatted(comparison[name])
        for name in ("left", "right", "difference", "ci_low", "ci_high")
    )
    return comparison["compared"], f"{left} against {right}: {difference} [{low}, {high}]", p_text


def run_study(
    study: AnyStudy,
    out: Place | None = None,
    watch: Watch | None = None,
    *,
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Run:
    """Compute every unit of a study that its folder does not have yet, then write the results table.

    Everything that can be wrong with the study is found before the folder is made. What fails on the way is kept as
    failed (`Run.failed`), and the rest goes on.

    Args:
        study: what to run.
        out: the run folder; None: `runs/`, and the study's name.
        watch: told how far the run is.
        workers: who does the work; None: this process.
        retry_failed: try again what failed before.

    Raises:
        UserError: something in the study cannot work.
    """
    refuse_in_import()
    if out is not None:
        check_writable(out)
    watch, workers = watch or Silent(), workers or Workers()
    started = time.perf_counter()
    get_ready(workers)
    experiment = experiment_of(study).prepared(watch.say)
    folder = _working_folder(experiment.study, out, workers)

    def work() -> None:
        experiment.begin(folder, watch.say)
        units = experiment.units(folder)
        if retry_failed:
            forget(folder, failed_keys(folder).intersection(unit.key for unit in units))
        forget_done(units, folder)
        _compute(experiment, units, folder, workers, watch)
        write_results(folder, experiment.rows(folder))
        experiment.judge(folder)
        machine = _machine_facts(
            folder.read_json("provenance.json"),
            experiment.device(),
            workers.threads_each,
            seconds=time.perf_counter() - started,
        )
        folder.write_json("provenance.json", {**machine, **experiment.facts(folder)})

    with run_session(folder, experiment.study, watch.say):
        with_repair(folder, work, watch.say)
    return Run(folder, experiment.study)


def _working_folder(study: AnyStudy, out: Place | None, workers: Workers) -> RunFolder:
    """The folder of a run; what the nodes of a cluster compute on is not known here: they ask the cache themselves.

    Raises:
        UserError: the run is new and its Ray cluster does not answer, which is found before the folder is made.
    """
    computing = None if workers.executor == "ray" else Computing(study.device, workers.threads_each)
    folder = RunFolder(out or Path("runs") / f"{path_safe(study.name)}-{study_key(study)}", computing)
    if workers.executor == "ray" and not folder.path.exists():  # one that is there may be finished, and need no cluster
        check_reachable(workers.address)
    return folder


def _compute(experiment: Experiment, units: list[Unit], folder: RunFolder, workers: Workers, watch: Watch) -> None:
    """Have the workers compute all units that are to do."""
    progress = states(units, folder)
    for sentence in _in_words(units, progress, folder):
        watch.say(sentence)
    left = [unit for unit, state in zip(units, progress, strict=True) if state is State.TO_DO]
    if workers.are_elsewhere:
        experiment.free()
    watch.start(sum(map(experiment.work, left)))
    computing = Computing(experiment.study.device, workers.threads_each)
    elsewhere = replace(folder, path=folder.path.absolute(), computing=computing)  # a worker may stand elsewhere
    number = workers.number or 1  # how many work at once on a cluster is not known
    shared = shared_out(left, number, experiment.work)
    jobs = (Batch(tuple(experiment.equipped(job)), elsewhere) for job in shared)
    for _ in run_jobs(jobs, workers, watch):
        pass  # all that a job leaves is in the folder


def _in_words(units: list[Unit], progress: list[State], folder: RunFolder) -> Iterator[str]:
    """`3 of 12 cells are already in runs/study`, `9 cells to run`, and what failed before."""
    total = Counter(unit.kind for unit in units)
    counts = Counter(zip((unit.kind for unit in units), progress, strict=True))
    if done := [
        f"{counts[kind, State.DONE]} of {_counted(total[kind], kind)}" for kind in total if counts[kind, State.DONE]
    ]:
        yield f"{', '.join(done)} are already in {folder.path}"
    if failed := [f"{kind}s: {counts[kind, State.FAILED]}" for kind in total if counts[kind, State.FAILED]]:
        yield f"Failed before, and not tried again ({', '.join(failed)}); --retry-failed does"
    if to_do := [_counted(counts[kind, State.TO_DO], kind) for kind in total if counts[kind, State.TO_DO]]:
        yield f"{', '.join(to_do)} to run"


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind}{'s' * (number != 1)}"


def _machine_facts(before: dict[str, Any] | None, device: str, threads: int, seconds: float) -> dict[str, Any]:
    """Versions, time and machine, `threads` being those of each worker; a run that went on adds its time to what was
    there `before`."""
    before = before or {}
    return {
        "demograd": version("demograd"),
        "created": before.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": threads,
            "device": device,
        },
    }
