"""Facts about run folders in a bucket: a real server of S3's protocol, in a process of its own."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from s3fs import S3FileSystem
from tests.cli.test_mistakes import REVIEWS, call
from tests.study.conftest import small_settings
from tests.study.store.test_folder import CELL, OTHER, ZSL, Settings, flip, nobody_listens, observation, record
from tests.study.test_run import Listening

from demograd.errors import UserError
from demograd.files import Place, check_writable, place
from demograd.study import RunFolder, Study, make_study, run_study
from demograd.study.store.failures import failed_keys, failures, keep_failure
from demograd.study.store.session import run_session


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of S3's protocol, named in the environment as a user names that of MinIO or Ceph."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=stream, stderr=stream)
    try:
        until = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in (
                ("ENDPOINT_URL", f"http://127.0.0.1:{port}"),
                ("ACCESS_KEY_ID", "me"),
                ("SECRET_ACCESS_KEY", "secret"),
                ("DEFAULT_REGION", "us-east-1"),
            ):
                environment.setenv(f"AWS_{name}", value)
            S3FileSystem.clear_instance_cache()  # of one that was made without these
            yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as asks:
        return asks.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> Place:
    """An empty bucket."""
    root = place(f"s3://{tmp_path.name.replace('_', '-')}/")
    root.fs.mkdir(root.path)
    return root


class Killed(Listening):
    """A listener that kills its own process where the first fine-tuned model is observed."""

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        if setting == "FT":
            os.kill(os.getpid(), signal.SIGKILL)


def _killed(study: Study, url: str) -> None:
    run_study(study, place(url), Killed())


@pytest.mark.slow
def test_a_run_in_a_bucket_is_killed_goes_on_mends_what_was_damaged_and_is_reported(
    small_model: Path, bucket: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is that of a run on this machine, byte for byte."""
    reviews = tmp_path / "reviews.jsonl"
    reviews.write_text("\n".join(json.dumps(row) for row in REVIEWS), encoding="utf-8")
    few = {
        "weights": ["trained"],
        "seeds": [0, 1],
        "queries": 6,
        "k": 2,
        "controls": [],
        "tasks": [str(reviews)],
        "template": "Review: {text} Sentiment:",
        "label_words": {"bad": "Negative", "good": "Positive"},
    }
    study, out = make_study(small_settings(small_model, **few)), bucket / "runs" / "one"
    run_study(study, tmp_path / "here")
    table = (tmp_path / "here" / "results.parquet").read_bytes()
    killed = multiprocessing.get_context("fork").Process(target=_killed, args=(study, str(out)))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL and not (out / "results.parquet").exists()
    run_study(study, out, goes_on := Listening())
    assert f"2 of 2 worlds are already in {out}" in " ".join(goes_on.sentences)
    assert (out / "results.parquet").read_bytes() == table
    damaged = next(iter((out / "cells").glob("*.safetensors")))
    flip(damaged)
    run_study(study, out, mends := Listening())
    assert any(
        f"1 of the files in {out} are damaged" in sentence and damaged.name in sentence for sentence in mends.sentences
    )
    settings = [setting for _, setting in mends.started if "fine-tunings" not in setting]
    assert settings == ["FT"] and (out / "damaged" / damaged.name).is_file()
    assert (out / "results.parquet").read_bytes() == table
    assert call("report", str(out)) == 0 and str(out / "report.html") in capsys.readouterr().out.replace("\n", "")
    assert "SimAOU" in (out / "report.html").read_text(encoding="utf-8")


def test_two_runs_in_one_folder_of_a_bucket_do_double_work_and_no_harm(bucket: Place) -> None:
    """A bucket has no locks: every object is put whole, and both runs put the same bytes."""
    together, work = Barrier(2, timeout=60), range(6)

    def writer(_: int) -> list[float]:
        folder = RunFolder(bucket / "run")
        with run_session(folder, Settings(), nobody_listens):
            for number in work:
                together.wait()
                folder.save_cell(f"{CELL}{number}", record(float(number)))
                folder.observation(f"{ZSL}{number}", lambda: observation(2.0), nobody_listens)
                folder.write_json("inputs.json", {"number": number})
            return [folder.load_cell(f"{CELL}{number}").facts["number"] for number in work]

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(writer, range(2))) == [list(work)] * 2
    folder = RunFolder(bucket / "run")
    with run_session(folder, Settings(), pytest.fail):
        assert folder.read_json("inputs.json") == {"number": 5}
        assert all(folder.load_observation(f"{ZSL}{number}").attention_output.mean() == 2 for number in work)


def test_what_another_process_has_put_there_is_seen_at_once(bucket: Place) -> None:
    """Workers on other machines write while this process reads: no list of files may be cached."""
    url = str(bucket / "run")

    def fail(key: str) -> None:
        keep_failure(RunFolder(place(url)), key, "a cell", "no memory", "", Listening().say)

    fail(CELL)
    folder = RunFolder(place(url))
    assert failed_keys(folder) == {CELL}
    other = multiprocessing.get_context("fork").Process(target=fail, args=(OTHER,))
    other.start()
    other.join()
    assert other.exitcode == 0 and failed_keys(folder) == {CELL, OTHER}
    assert [failure.key for failure in failures(folder, [OTHER]).values()] == [OTHER]


@pytest.mark.parametrize("name", ["a-bucket-that-is-not-there", "no_bucket!"])
def test_a_misspelt_bucket_is_said_and_not_made(bucket: Place, name: str) -> None:
    with pytest.raises(UserError, match=rf"s3://{name}/run cannot be (written|reached)"):
        check_writable(place(f"s3://{name}/run"))
    assert name not in bucket.fs.ls("")


def test_a_bucket_keeps_nothing_of_a_mistake(
    small_model: Path, bucket: Place, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    mistake = ["--model", str(small_model), "--learning-rate", "0.01", "--queries", "100000"]
    assert call("run", "--out", str(bucket / "run"), *mistake) == 2
    assert "100000 queries" in capsys.readouterr().err
    assert not any(bucket.rglob("*"))
