"""Run a study of either kind: what its folder lacks is computed by workers and kept at once, then all is tabulated."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from demograd.files import Place, check_writable
from demograd.study.experiment import AnyStudy, Experiment, experiment_of
from demograd.study.finished import Run
from demograd.study.provenance import machine_facts
from demograd.study.results import write_results
from demograd.study.store.failures import failed_keys, forget
from demograd.study.store.folder import Computing, RunFolder
from demograd.study.store.keys import path_safe, study_key
from demograd.study.store.session import mended, opened
from demograd.study.unit import Batch, State, Unit, batches, forget_done, states
from demograd.study.watch import Silent, Watch
from demograd.study.workers import Workers, run_jobs
from demograd.study.workers.local import refuse_in_import
from demograd.study.workers.on_ray import check_reachable


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
        machine = machine_facts(
            folder.read_json("provenance.json"),
            experiment.device(),
            workers.threads_each,
            seconds=time.perf_counter() - started,
        )
        folder.write_json("provenance.json", {**machine, **experiment.facts(folder)})

    with opened(folder, experiment.study, watch.say):
        mended(folder, work, watch.say)
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
    """Have the workers compute all units that are to do, batch by batch."""
    progress = states(units, folder)
    for sentence in _in_words(units, progress, folder):
        watch.say(sentence)
    left = [unit for unit, state in zip(units, progress, strict=True) if state is State.TO_DO]
    if workers.are_elsewhere:
        experiment.free()
    watch.start(sum(map(experiment.work, left)))
    computing = Computing(experiment.study.device, workers.threads_each)
    theirs = replace(folder, path=folder.path.absolute(), computing=computing)  # a worker may stand elsewhere
    jobs = (Batch(tuple(experiment.equipped(batch)), theirs) for batch in batches(left))
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
