"""A run that is killed at any moment can be resumed, and its table is that of an undisturbed run."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.study.conftest import small_settings

from demograd.study import Study, Workers, make_study, run_study


def _run(study: Study, out: Path, workers: Workers) -> None:
    run_study(study, out, workers=workers)


def killed(study: Study, results: bytes, folder: Path, kills: int, workers: Workers, longest: float = 1.0) -> int:
    """Kill runs of the study at random moments, folder after folder, and return how many runs resumed finished cells.

    The last run ends, and every table must equal `results`. A kill comes within `longest` seconds, which is adapted
    from run to run to the speed of the machine.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["demograd.study.run"])
    chance, left, finished, goes_on = random.Random(5), kills, 0, 0
    while left or not finished:
        out = folder / str(finished)
        n_cells = _cells(out)
        goes_on += n_cells > 0
        process = context.Process(target=_run, args=(study, out, workers))
        process.start()
        while process.is_alive() and not _is_at_work(process.pid, out):
            time.sleep(0.01)
        if left:
            process.join(chance.uniform(0, longest))
            process.kill()
        process.join()
        if process.exitcode == 0:
            assert (out / "results.parquet").read_bytes() == results
            finished += 1
            longest /= 1.5
        else:
            assert process.exitcode == -signal.SIGKILL
            left -= 1
            longest *= 1.2 if _cells(out) == n_cells else 1
    return goes_on


@pytest.mark.parametrize(("kills", "more_than"), [(6, 0), pytest.param(20, 2, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_gives_the_same_table_byte_for_byte(
    undisturbed: tuple[Study, bytes], tmp_path: Path, kills: int, more_than: int
) -> None:
    assert killed(*undisturbed, tmp_path, kills, Workers(threads=1)) > more_than


@pytest.mark.slow
def test_so_does_a_run_of_a_real_model_in_two_processes(tmp_path: Path) -> None:
    settings = small_settings(Path("smollm2-135m"), weights=["trained"], seeds=[0, 1], queries=6, k=2)
    study = make_study({**settings, "learning_rates": {"GD": [1e-3], "LCGD": [1e-3]}})
    started = time.monotonic()
    run_study(study, tmp_path / "undisturbed", workers=Workers(threads=1))
    whole = time.monotonic() - started
    results = (tmp_path / "undisturbed" / "results.parquet").read_bytes()
    assert killed(study, results, tmp_path, 20, Workers(number=2, threads=1), whole) > 2


def _cells(out: Path) -> int:
    return len(list(out.glob("cells/*.safetensors")))


def _is_at_work(process: int | None, out: Path) -> bool:
    """Whether the process has begun to write in the run folder."""
    try:
        return bool(json.loads((out / "holder.json").read_text())["pid"] == process)
    except (FileNotFoundError, json.JSONDecodeError):
        return False


def _started(study: Study, folder: Path, *options: str) -> "subprocess.Popen[str]":
    """The process of the command line, in a group of its own, after its first finished cell."""
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    command = [sys.executable, "-c", "from demograd.cli import main; main()", "run", str(file), "--out", "out"]
    # tests that a shell began in the background ignore SIGINT, and what they begin would
    process = subprocess.Popen(
        [*command, *options],
        cwd=folder,
        start_new_session=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not any((folder / "out").glob("cells/*.safetensors")):
        time.sleep(0.02)
    return process


def _all_end(group: int, seconds: float) -> bool:
    """Whether every process of the group ends within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_ctrl_c_ends_all_workers_in_seconds_and_says_how_to_go_on(
    undisturbed: tuple[Study, bytes], tmp_path: Path
) -> None:
    study, results = undisturbed
    process = _started(study, tmp_path, "--workers", "2", "--threads", "1")
    os.killpg(process.pid, signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in output and "Traceback" not in output
    assert _all_end(process.pid, 5)
    _run(study, tmp_path / "out", Workers(threads=1))
    assert (tmp_path / "out" / "results.parquet").read_bytes() == results


@pytest.mark.slow
def test_no_worker_outlives_a_run_that_is_killed(undisturbed: tuple[Study, bytes], tmp_path: Path) -> None:
    process = _started(undisturbed[0], tmp_path, "--workers", "2", "--threads", "1")
    process.kill()
    process.communicate(timeout=60)
    assert _all_end(process.pid, 20)
