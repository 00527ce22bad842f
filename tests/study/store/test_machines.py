"""Facts about machines with missing abilities: a run does without them where it can, and says so."""

import errno
import os
import signal
from pathlib import Path

import pytest
from tests.study.test_run import Listening
from tests.study.workers.jobs import Writes

from demograd.errors import UserError
from demograd.files import written_whole
from demograd.models import load_model
from demograd.study import Workers
from demograd.study.workers import run_jobs


def test_a_disk_that_refuses_what_was_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        written_whole(tmp_path / "file", lambda unfinished: unfinished.write_text("new"))
    assert not [*tmp_path.iterdir()]


def test_a_system_without_signal_masks_runs_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask")
    monkeypatch.setattr("multiprocessing.resource_tracker._HAVE_SIGMASK", False)  # which has asked already
    files = [tmp_path / "0", tmp_path / "1"]
    ended = [*run_jobs([Writes(file, 0.1) for file in files], Workers(number=2, threads=1), Listening())]
    assert len(ended) == 2 and all(file.exists() for file in files)


def test_a_place_for_unpacked_models_that_cannot_be_written_is_named_with_what_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("DEMOGRAD_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file/demograd/models.*cannot be written.*DEMOGRAD_MODELS"):
        load_model("smollm2-135m")
    monkeypatch.setenv("DEMOGRAD_MODELS", str(tmp_path / "file" / "elsewhere"))
    with pytest.raises(UserError, match=r"file/elsewhere.*cannot be written"):
        load_model("smollm2-135m")
