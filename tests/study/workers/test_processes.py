"""Facts about several processes: all work, none takes another with it, and none outlives the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.test_run import Listening
from tests.study.workers.jobs import Dies, Mistaken, Tells, Writes

from demograd.errors import UserError
from demograd.study import Run, Study, Workers, cells, run_study
from demograd.study.workers import run_jobs
from demograd.words import ALLOW_PICKLE


class Hearing(Listening):
    """A listener that records the workers that report, and their counts."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: set[str] = set()
        self.counted: list[int] = []

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        super().begin(title, setting, total, worker)
        self.workers.add(worker)

    def done(self, so_far: int, worker: str = "") -> None:
        self.counted.append(so_far)


def test_two_workers_give_the_same_tables_bit_for_bit(
    undisturbed: tuple[Study, bytes], undisturbed_run: Run, tmp_path: Path
) -> None:
    study, results = undisturbed
    watch = Hearing()
    run = run_study(study, tmp_path / "out", watch, workers=Workers(number=2, threads=1))
    assert (tmp_path / "out" / "results.parquet").read_bytes() == results
    for name in ("queries.parquet", "attention.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed_run.folder.path / name).read_bytes()
    assert run.failed == () and len(watch.workers) == 2 and "" not in watch.workers
    n_cells = sum(1 for _ in cells(study))
    assert [setting for _, setting in watch.started].count("FT") == n_cells


def test_jobs_are_shared_out_and_every_worker_is_heard(tmp_path: Path) -> None:
    watch = Hearing()
    files = [tmp_path / str(number) for number in range(4)]
    ended = [*run_jobs([Writes(file, 1.0) for file in files], Workers(number=2, threads=3), watch)]
    assert {job.file.name for job in ended} == {"0", "1", "2", "3"}
    written = [file.read_text().split() for file in files]
    assert len({pid for pid, _ in written}) == 2 and {threads for _, threads in written} == {"3"}
    assert watch.workers == {pid for pid, _ in written} and watch.counted.count(2) == 4


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="threads have no signal masks here")
def test_ctrl_c_is_not_for_workers_though_what_they_come_from_was_started_early(tmp_path: Path) -> None:
    """In a process of its own: this one may have started it long ago."""
    code = f"""
from pathlib import Path
from tests.study.workers.jobs import Listens
from demograd.study.workers import Workers, get_ready, run_jobs
from demograd.study.workers.progress import Silent

if __name__ == "__main__":
    workers = Workers(number=2, threads=1)
    get_ready(workers)
    list(run_jobs([Listens(Path("{tmp_path / "signals"}"))], workers, Silent()))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    subprocess.run([sys.executable, str(script)], check=True, env=environment)
    assert (tmp_path / "signals").read_text() == "SIGINT"


def test_a_worker_that_is_killed_takes_no_other_job_with_it(tmp_path: Path) -> None:
    """One job kills its worker every time, another kills it once, as when memory was short for a moment."""
    watch = Hearing()
    jobs = [
        Dies(tmp_path / "always", 9),
        Writes(tmp_path / "beside", 1.0),
        Dies(tmp_path / "once", 1),
        *(Writes(tmp_path / f"later {number}") for number in range(3)),
    ]
    ended = [*run_jobs(jobs, Workers(number=2, threads=1), watch)]
    done = {job.file.name for job in ended}
    assert done == {"beside", "once", "later 0", "later 1", "later 2"}
    assert len(watch.sentences) == 1 and watch.sentences[0].startswith("always: ") and "killed" in watch.sentences[0]
    assert len((tmp_path / "always").read_text()) == 2  # it was tried again, alone


def test_a_users_mistake_is_told_as_one_and_ends_the_others(tmp_path: Path) -> None:
    jobs = [Mistaken(), Writes(tmp_path / "slow", 60.0)]
    with pytest.raises(UserError, match=r"^A blue model\. Expected: a red one\. Paint it\.$"):
        list(run_jobs(jobs, Workers(number=2, threads=1), Hearing()))
    assert not (tmp_path / "slow").exists()


def test_what_a_user_allows_counts_for_worker_processes_and_only_for_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for allowed in ("True", "False"):  # the second run's processes are forked from one that began under the first
        if allowed == "True":
            monkeypatch.setenv(ALLOW_PICKLE, "1")
        else:
            monkeypatch.delenv(ALLOW_PICKLE)
        list(run_jobs([Tells(tmp_path / allowed)], Workers("processes", 1, 1), Hearing()))
        assert (tmp_path / allowed).read_text().split()[0] == allowed


def test_threads_are_those_that_each_worker_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert Workers(number=3).threads_each == 2 and Workers(number=9).threads_each == 1
    assert Workers(number=3, threads=5).threads_each == Workers("ray", threads=5).threads_each == 5
    assert Workers("ray").threads_each == 1 and Workers().threads_each == torch.get_num_threads()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"executor": "slurm"}, "Unknown executor 'slurm'"),
        ({"number": 0}, "--workers 0"),
        ({"threads": -1}, "--threads -1"),
        ({"threads": 2_000_000}, r"--threads 2000000\. Expected: 1 to "),
        ({"executor": "ray", "gpus": float("nan")}, "--gpus nan"),
        ({"executor": "ray", "gpus": 1.5}, "whole ones"),
        ({"executor": "ray", "memory": 1e-12}, "--memory 1e-12"),
        ({"executor": "in-process", "number": 2}, "Try --executor processes"),
        ({"gpus": 1.0}, "--gpus without Ray"),
        ({"number": 2, "memory": 4.0}, "--memory without Ray"),
    ],
)
def test_workers_that_do_not_fit_together_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Workers(**settings)
