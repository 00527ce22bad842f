"""Where files lie: on this machine, or behind any URL that fsspec knows (s3://, gs://, memory://, …)."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsspec import get_filesystem_class
from upath import UPath

from demograd.errors import UserError

Place = Path | UPath


def place(text: str | Place) -> Place:
    """What a user names: a URL, or a path of this machine.

    Raises:
        UserError: no file system is known for such a URL, or the package that knows it is not installed.
    """
    if not isinstance(text, str):
        return text
    protocol, separator, rest = text.partition("://")
    if not separator or protocol == "file":
        return Path(rest or text)
    try:
        get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        raise UserError(f"{text} cannot be reached ({error})", "a path, or a URL such as s3://bucket/folder",
                        "Install the package that fsspec needs for it, or correct the URL") from error  # fmt: skip
    return UPath(text)


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
    """Move a file into a folder, which is made where there is none."""
    into.mkdir(parents=True, exist_ok=True)
    if isinstance(file, Path) and isinstance(into, Path):
        file.replace(into / file.name)
    elif isinstance(file, UPath):
        file.fs.mv(file.path, f"{UPath(into).path}/{file.name}")


def remove(place: Place) -> None:
    """Remove a file, or a folder and all that is in it."""
    if not isinstance(place, Path):
        place.fs.rm(place.path, recursive=True)
    elif place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
