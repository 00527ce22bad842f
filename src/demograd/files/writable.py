"""Whether a run could be kept behind a URL, tried before hours of work for it."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from upath import UPath

from demograd.errors import UserError
from demograd.files.place import Place, error_line, make_folder

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
