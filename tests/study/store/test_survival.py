"""Facts about whole runs: full disks, damaged files and other places for the folder change nothing in the table."""

import errno
import fcntl
import os
import stat
import subprocess
from pathlib import Path
from random import Random

import pytest
import yaml
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings
from tests.study.test_run import Listening

from demograd.files import Place, place
from demograd.report import write_report
from demograd.study import Study, make_study, run_study


@pytest.fixture(scope="module")
def study(small_model: Path) -> Study:
    """A study of four cells."""
    return make_study(small_settings(small_model, weights=["trained"], seeds=[0, 1], queries=6, controls=[]))


@pytest.fixture(scope="module")
def whole(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run."""
    out = tmp_path_factory.mktemp("run") / "out"
    run_study(study, out)
    return out


@pytest.fixture
def table(whole: Path) -> bytes:
    """The bytes of the undisturbed run's results."""
    return (whole / "results.parquet").read_bytes()


def stored(folder: Place) -> list[Place]:
    """All files of the folder that have a checksum."""
    suffixes = (".json", ".yaml", ".parquet", ".safetensors")
    return sorted(file for file in folder.rglob("*") if file.suffix in suffixes and "damaged" not in file.parts)


def test_a_run_behind_a_url_is_the_same_run_and_goes_on_there(study: Study, table: bytes) -> None:
    out, watch = place("memory://cluster/runs/one"), Listening()
    run_study(study, out)
    assert (out / "results.parquet").read_bytes() == table
    (file,) = [next(iter((out / "cells").glob("*.safetensors")))]
    content = file.read_bytes()
    file.write_bytes(content[:-3] + bytes(255 - byte for byte in content[-3:]))
    run_study(study, out, watch)
    assert (out / "results.parquet").read_bytes() == table
    assert [setting for _, setting in watch.started if "fine-tuning" not in setting] == ["FT"]
    assert any("1 of the files in memory://" in sentence for sentence in watch.sentences)
    assert "Specificity" in write_report(out).read_text(encoding="utf-8")


def test_flipped_bits_in_every_file_of_a_run_are_set_aside_and_the_table_is_the_same(
    study: Study, table: bytes, tmp_path: Path
) -> None:
    out, watch, random = tmp_path / "out", Listening(), Random(0)
    run_study(study, out)
    files = stored(out)
    kinds = {file.parent.name if file.suffix == ".safetensors" else file.name for file in files}
    assert kinds >= {"cells", "observations", "study.yaml", "inputs.json", "provenance.json", "results.parquet"}
    for file in files:
        content = bytearray(file.read_bytes())
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        file.write_bytes(content)
    run_study(study, out, watch)
    assert any(f"{len(files)} of the files in {out} are damaged" in sentence for sentence in watch.sentences)
    assert sorted(file.name for file in (out / "damaged").iterdir()) == sorted(file.name for file in files)
    assert (out / "results.parquet").read_bytes() == table


def test_a_disk_that_fills_up_ends_with_a_message_and_the_run_goes_on_when_there_is_room(
    study: Study, whole: Path, table: bytes, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = small_disk.parent / "study.yaml", small_disk / "out"
    file.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    before_cells = [
        *(whole / "observations").iterdir(),
        *whole.glob("*.yaml"),
        whole / "inputs.json",
        whole / "demonstrations.json",
    ]
    two_cells = sorted((whole / "cells").iterdir(), key=lambda file: file.stat().st_size)[-2:]
    pages = sum(-(-file.stat().st_size // 4096) for file in [*before_cells, *two_cells]) + 2
    (small_disk / "ballast").write_bytes(bytes(256 * 1024 - pages * 4096))
    assert call("run", str(file), "--out", str(out)) == 2
    errors = capsys.readouterr().err
    assert "There is no room for" in errors and "Make room and run the same command again" in errors
    assert "Traceback" not in errors and not (out / "results.parquet").exists()
    finished = sorted((out / "cells").iterdir())
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert call("run", str(file), "--out", str(out)) == 0
    assert 1 <= len(finished) <= 3
    assert "2 of 2 worlds" in " ".join(capsys.readouterr().err.split())
    assert (out / "results.parquet").read_bytes() == table


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def test_without_locks_a_run_goes_on_and_says_so(
    number: int,
    study: Study,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    watch = Listening()
    run_study(study, tmp_path / "out", watch)
    assert any("has no locks" in sentence for sentence in watch.sentences)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()
    assert not [*(tmp_path / "out").glob(".*")], "what was tried is gone again"


def test_where_folders_cannot_be_synced_a_run_goes_on_and_says_so(
    study: Study,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    watch = Listening()
    run_study(study, tmp_path / "out", watch)
    assert any("cannot be asked to write at once" in sentence for sentence in watch.sentences)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()
