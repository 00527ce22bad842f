"""Facts about stored files: each is whole or not there, and none is read that is not what was written."""

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from fsspec import available_protocols
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searches import examples

from demograd.errors import UserError
from demograd.files import (
    Damaged,
    NoRoom,
    Place,
    check_writable,
    place,
    read_json,
    read_table,
    read_yaml,
    sealed_tensors,
    write_json,
    write_table,
    write_tensors,
    write_yaml,
    written_whole,
)

FACTS = {"status": "ok", "losses": [0.5, 0.25], "word": "ü"}
TABLE = pd.DataFrame({"value": [0.25, None, 1.0] * 40, "status": ["ok", "missing", "ü"] * 40})
TENSORS = {"FT/sim_aou": torch.arange(12.0).reshape(3, 4), "gold": torch.tensor([1, 0, 1])}


def _write_tensors(file: Place) -> None:
    write_tensors(file, TENSORS, {"facts": json.dumps(FACTS)})


def _read_tensors(file: Place) -> Any:
    with sealed_tensors(file) as tensors:
        return {name: tensors.get_tensor(name).tolist() for name in sorted(tensors.keys())}, tensors.metadata()["facts"]


FORMATS: dict[str, tuple[Callable[[Place], None], Callable[[Place], Any]]] = {
    "cell.safetensors": (_write_tensors, _read_tensors),
    "facts.json": (lambda file: write_json(file, FACTS), read_json),
    "rows.json": (lambda file: write_json(file, [FACTS, FACTS]), read_json),
    "study.yaml": (lambda file: write_yaml(file, FACTS), read_yaml),
    "results.parquet": (lambda file: write_table(file, TABLE), lambda file: read_table(file).to_json()),
}


@pytest.fixture(scope="module", params=FORMATS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file of each format, and what is read from it."""
    file = tmp_path_factory.mktemp("stored") / request.param
    write, read = FORMATS[request.param]
    write(file)
    return file, read


def test_what_was_written_is_read(stored: tuple[Path, Any]) -> None:
    file, read = stored
    expected = {
        "cell.safetensors": ({name: tensor.tolist() for name, tensor in TENSORS.items()}, json.dumps(FACTS)),
        "facts.json": FACTS,
        "rows.json": [FACTS, FACTS],
        "study.yaml": FACTS,
        "results.parquet": TABLE.to_json(),
    }
    assert read(file) == expected[file.name]


@settings(max_examples=examples(150))
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(stored: tuple[Path, Any], data: st.DataObject) -> None:
    """Data, names, shapes, metadata, padding, the seal itself: nothing of a file is outside its checksum."""
    file, read = stored
    content = bytearray(whole := file.read_bytes())
    places = data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3, unique=True))
    for at in places:
        content[at] ^= data.draw(st.integers(1, 255))
    copy = file.with_name(f"damaged-{file.name}")
    copy.write_bytes(content)
    with pytest.raises(Damaged, match=r"checksum does not fit|has no seal"):
        read(copy)
    assert file.read_bytes() == whole


@settings(max_examples=examples(60))
@given(data=st.data())
def test_no_missing_or_added_end_goes_unnoticed(stored: tuple[Path, Any], data: st.DataObject) -> None:
    file, read = stored
    content = file.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    copy = file.with_name(f"damaged-{file.name}")
    for damaged in (content[:length], content + content[length:]):
        copy.write_bytes(damaged)
        with pytest.raises(Damaged):
            read(copy)


def test_the_formats_stay_those_that_others_read(tmp_path: Path) -> None:
    """The seal is a comment, a field or metadata: no tool of the format stumbles over it."""
    for name, (write, _) in FORMATS.items():
        write(tmp_path / name)
    assert json.loads((tmp_path / "facts.json").read_text())["losses"] == [0.5, 0.25]
    assert yaml.safe_load((tmp_path / "study.yaml").read_text()) == FACTS
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "results.parquet"), TABLE)


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    for name in ("results.parquet", "facts.json", "study.yaml"):
        FORMATS[name][0](tmp_path / name)
        first = (tmp_path / name).read_bytes()
        FORMATS[name][0](tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_who_is_stopped_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    written_whole(tmp_path / "file", lambda unfinished: unfinished.write_text("before"))

    def stopped(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written_whole(tmp_path / "file", stopped)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "before")]


def _forked(write: Callable[[int], None]) -> int:
    """A process that writes again and again, with a number that grows."""
    if child := os.fork():
        return child
    for number in count():  # the child never returns to the tests
        write(number)
    raise AssertionError


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    """SIGKILL, at whatever moment of a write; two writers at a time."""
    file, random = tmp_path / "file.json", Random(0)
    write_json(file, {"numbers": [-1]})
    versions = set()
    for _ in range(25):
        writers = [_forked(lambda number: write_json(file, {"numbers": [number] * 5000})) for _ in range(2)]
        time.sleep(random.uniform(0.002, 0.06))
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        numbers = set(read_json(file)["numbers"])
        assert len(numbers) == 1
        versions |= numbers
    assert len(versions) > 1, "they wrote"


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_said_and_what_was_there_is_kept(small_disk: Path, name: str) -> None:
    write, read = FORMATS[name]
    write(small_disk / name)
    before = read(small_disk / name)
    filled = small_disk / "filled"
    with filled.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(bytes(4096))
    with pytest.raises(UserError, match=r"no room for .*Make room and run the same command again"):
        write(small_disk / name)
    assert read(small_disk / name) == before
    assert {file.name for file in small_disk.iterdir()} == {name, "filled"}
    filled.unlink()
    write(small_disk / name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_may_grow_no_further_is_a_full_disk_too(tmp_path: Path, name: str) -> None:
    """A quota: what everyone can test, also who cannot mount a small disk."""
    write, read = FORMATS[name]
    write(tmp_path / name)
    before, limits = read(tmp_path / name), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        with pytest.raises(UserError, match="no room for"):
            write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(tmp_path / name) == before and [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_behind_a_url_is_read_and_checked_too(name: str) -> None:
    write, read = FORMATS[name]
    file = place("memory://bucket/folder") / name
    write(file)
    written = file.read_bytes()
    assert read(file) is not None
    file.write_bytes(written[:-1])
    with pytest.raises(Damaged, match="memory://bucket/folder"):
        read(file)


@pytest.mark.parametrize("folder", ["~", "a:b", "file:", "s3:x"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_with_a_name_that_libraries_read_otherwise_is_a_folder(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pyarrow does, which would write into the user's home."""
    monkeypatch.chdir(tmp_path)
    write, read = FORMATS[name]
    write(Path(folder) / name)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()] == [f"{folder}/{name}"]
    assert read(Path(folder) / name) is not None


def test_a_path_may_begin_at_a_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no shell has replaced its sign, as after `--out=`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place("~/runs") == tmp_path / "runs"
    with pytest.raises(UserError, match=r"~nobody-has-this-name/runs, the home of nobody here.*begin it with \./"):
        place("~nobody-has-this-name/runs")


def test_a_url_that_nothing_here_knows_is_said() -> None:
    with pytest.raises(UserError, match=r"nonsense://here cannot be reached \(Protocol not known"):
        place("nonsense://here")


@pytest.mark.parametrize("text", ["runs/one", "/runs/one", "file:///runs/one", "local:///runs/one"])
def test_what_is_no_url_is_a_path_of_this_machine(text: str) -> None:
    assert place(text) == Path(text.removeprefix("file://").removeprefix("local://"))


@pytest.mark.parametrize("text", ["", " ", "file://", "s3://"])
def test_a_name_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="names no folder"):
        place(text)


@pytest.mark.filterwarnings("ignore:UPath .* filesystem not explicitly implemented")
@pytest.mark.parametrize("protocol", sorted({*available_protocols()} - {"file", "local", "memory"}))
def test_a_url_that_nothing_answers_is_said_whatever_its_library_raises(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file system that fsspec knows, installed or not, with its credentials or without; nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"{protocol}://127.0.0.1:1/x (cannot be (reached|written)|, which is no URL)"):
        check_writable(place(f"{protocol}://127.0.0.1:1/x"))
    assert list(tmp_path.iterdir()) == []


def test_what_lies_behind_http_is_read_and_nothing_is_sent_to_it(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text("{}")
    requests = list[str]()

    class Server(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            requests.append(str(arguments[0]).split()[0])

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        location = place(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match="can only be read"):
            check_writable(location)
        assert (location / "facts.json").read_text() == "{}"
        server.shutdown()
    assert {*requests} <= {"GET", "HEAD"}


def test_trying_whether_a_url_can_be_written_leaves_nothing_there() -> None:
    folder = place("memory://tried/out")
    check_writable(folder)
    assert not folder.exists()
    written_whole(folder / "mine", lambda unfinished: unfinished.write_text("mine"))
    check_writable(folder)
    assert [file.name for file in folder.iterdir()] == ["mine"]


def test_what_a_url_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when credentials have expired on the way."""
    file = place("memory://expired/run") / "facts.json"

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("The provided token has expired")

    monkeypatch.setattr(type(file.fs), "put_file", refused)
    with pytest.raises(NoRoom, match=r"facts.json cannot be written \(The provided token has expired\)"):
        write_json(file, FACTS)


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_what_has_no_seal_is_told_from_what_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.json").write_bytes(content)
    with pytest.raises(Damaged, match="has no seal") as raised:
        read_json(tmp_path / "notes.json")
    assert not raised.value.has_seal
