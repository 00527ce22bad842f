"""Files that are there whole or not at all, also after a power failure."""

import errno
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError
from upath import UPath

from demograd.errors import UserError
from demograd.files.abilities import sync
from demograd.files.place import Place, error_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(UserError):
    """The disk is full, or a URL takes nothing more: whatever else is to be done, it could not be kept."""


def written_whole(file: Place, write: Callable[[Path], Any]) -> None:
    """Write beside the file, and let it take the file's place once the disk has it; behind a URL, by one put. Its
    folder is made where there is none.

    Who is stopped half-way leaves what was there before.

    Raises:
        NoRoom: the disk is full, or what is behind the URL does not take it.
    """
    if not isinstance(file, Path):
        _put(file, write)
        return
    try:
        _write(file, write)
    except (OSError, SafetensorError) as error:
        if not _is_full(error):
            raise
        raise NoRoom(
            f"There is no room for {file}",
            "a disk that is not full",
            "Make room and run the same command again: what is finished is kept",
        ) from error


def _put(file: UPath, write: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(copy := Path(folder) / file.name)
        try:
            file.fs.put_file(str(copy), file.path)
        except Exception as error:  # whatever the library raises that the file system stands on
            raise NoRoom(
                f"{file} cannot be written ({error_line(error)})",
                "a URL where you may write",
                "Mend it and run the same command again: what is finished is kept",
            ) from error


def _write(file: Path, write: Callable[[Path], Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")  # as `unfinished_files` knows them
    try:
        write(unfinished)
        sync(unfinished)
        unfinished.replace(file)
        sync(file.parent)  # the name too
    finally:
        unfinished.unlink(missing_ok=True)


def unfinished_files(folder: Path) -> list[Path]:
    """What writers that were killed left in a folder, or one below it."""
    hidden = [*folder.glob(".*"), *folder.glob("*/.*")]
    return [file for file in hidden if re.fullmatch(r"\..+\.[0-9a-f]{32}", file.name) and file.is_file()]


def _is_full(error: Exception) -> bool:
    """safetensors tells the system's error in words alone."""
    code = re.search(r"os error (\d+)", str(error))
    return getattr(error, "errno", None) in _FULL or (code is not None and int(code[1]) in _FULL)
