"""Where files lie: on this machine, or behind any URL that fsspec knows; and whether a run can be or is kept there."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from fsspec import get_filesystem_class
from upath import UPath

from demograd.errors import UserError, quoted, shortened
from demograd.paths import is_file

Place = Path | UPath
LONGEST = 200
"""Letters of another library's error that a message has room for."""


def place(text: str | Place) -> Place:
    """What a user names: a path of this machine, `~` being their home, or a URL, where it is asked whether anything is
    there.

    Raises:
        UserError: it is empty, or in the home of nobody here; no file system is known for such a URL, the package that
            knows it is not installed, or it is not answered.
    """
    if not isinstance(text, str):
        return text
    protocol, separator, rest = text.partition("://")
    is_here = not separator or protocol in ("file", "local")
    path = (rest if separator else text) if is_here else rest
    if not path.strip():
        raise UserError(
            f"{quoted(text)}, which names no folder",
            "a path, or a URL such as s3://bucket/folder",
            "Name one, or leave it off",
        )
    return _local_path(path) if is_here else _reached(text, protocol)


def _local_path(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{shortened(str(path))}, the home of nobody here",
            "a path, or a URL such as s3://bucket/folder",
            "Correct it, or begin it with ./ where a folder has this name",
        ) from error


def _reached(url: str, protocol: str) -> UPath:
    """File systems raise whatever the libraries raise that they stand on: all of it is that they cannot be reached."""
    try:
        get_filesystem_class(protocol)
        # what was listed is not remembered: other processes write there too
        location = UPath(url, use_listings_cache=False)
        with suppress(FileNotFoundError):
            location.fs.info(location.path)
    except Exception as error:
        raise UserError(
            f"{url} cannot be reached ({error_line(error)})",
            "a path, or a URL such as s3://bucket/folder",
            "Correct the URL, give what it needs (credentials, a network), or install the package that "
            "fsspec needs for it",
        ) from error
    if isinstance(location, Path):  # a name that is fsspec's, but of no URL
        raise UserError(f"{url}, which is no URL", "a path, or a URL such as s3://bucket/folder", "Correct it")
    return location


def make_folder(folder: Place) -> None:
    """Make a folder where there is none; behind a URL its parent must be there, so that no misspelt bucket is made."""
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
        return
    with suppress(FileExistsError):
        folder.fs.mkdir(folder.path, create_parents=False)


@contextmanager
def local_copy(file: Place) -> Iterator[Path]:
    """The file itself where it is local; else a copy for as long as the block lasts."""
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / file.name
        file.fs.get_file(file.path, str(copy))
        yield copy


def move(file: Place, into: Place) -> None:
    """Move a file into a folder, made where there is none; what another process has just moved is moved."""
    make_folder(into)
    with suppress(FileNotFoundError):
        if isinstance(file, Path) and isinstance(into, Path):
            file.replace(into / file.name)
        elif isinstance(file, UPath):
            file.fs.mv(file.path, f"{UPath(into).path}/{file.name}")


def error_line(error: Exception) -> str:
    """What an error says, on one line that a message can hold; its kind, where it says nothing."""
    return shortened(" ".join(str(error).split()) or type(error).__name__, LONGEST)


def remove(place: Place) -> None:
    """Remove a file, or a folder and all that is in it; behind a URL, a folder without files may not be there."""
    if not isinstance(place, Path):
        with suppress(FileNotFoundError):
            place.fs.rm(place.path, recursive=True)
    elif place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()


_CONTENT = b"demograd tries whether it can write here, and removes this"


def check_writable(folder: Place) -> None:
    """Write, read and remove a small file behind a URL; nothing stays, also no folder that was not there before.

    What lies on this machine is tried when a run begins there.

    Raises:
        UserError: one of the three cannot be done.
    """
    if isinstance(folder, Path):
        return
    try:
        _try_out(folder, f"{folder.path.rstrip('/')}/.{uuid4().hex}")
    except Exception as error:  # file systems raise whatever the libraries raise that they stand on
        raise UserError(
            f"{folder} cannot be written ({error_line(error)})",
            "a URL where you may write and remove files, in a bucket or folder that is there",
            "Correct it, or choose another folder with --out",
        ) from error


def _try_out(folder: UPath, file: str) -> None:
    fs = folder.fs
    try:
        fs.rm_file(file)  # not there: asked first, since one that only reads might send what is written to a stranger
    except FileNotFoundError:
        pass
    except NotImplementedError as error:
        raise OSError("what lies there can only be read") from error
    was_there = fs.exists(folder.path)
    make_folder(folder)
    fs.pipe_file(file, _CONTENT)
    if fs.cat_file(file) != _CONTENT:
        raise OSError("what was written is not what is read")
    fs.rm_file(file)
    if not was_there:
        with suppress(OSError):  # where folders are but names, or another run has just begun in it
            fs.rmdir(folder.path)


def run_folder(text: str | Place) -> Place:
    """The run folder that a user names.

    Raises:
        UserError: as `place`, and where the folder has no `study.yaml`.
    """
    folder = place(text)
    check_holds(folder, "study.yaml")
    return folder


def check_holds(folder: Place, name: str) -> None:
    """Raises: UserError where a run folder lacks a file that every one has."""
    file = folder / name
    if not (is_file(file) if isinstance(file, Path) else file.is_file()):
        raise UserError(
            f"{folder} has no {name}",
            "a run folder, as `demograd run` writes it",
            "Give the folder that `demograd run --out` named, after at least one cell has finished",
        )
