"""A checksum inside the file that it is of, so that the two cannot part.

Each format has a place for a word of ours: a comment, a field, metadata. The file is written with 64 zeros there; the
seal is the SHA-256 of that whole file, put in place of the zeros. So it covers every byte, whatever the format.
"""

import hashlib
import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demograd.errors import UserError
from demograd.files.place import Place
from demograd.files.whole import written_whole

NAME = "demograd-sha256"
NO_SEAL = "0" * 64
# between name and seal: `": "` in JSON, `: ` in YAML, a type and a length in Parquet's footer
_SEAL = re.compile(NAME.encode() + rb"[^0-9a-z]{1,6}([0-9a-f]{64})")


WITHOUT_SEAL = "it was cut short or changed, or demograd did not write it"


class Damaged(UserError):
    """A file that is not what demograd wrote."""

    def __init__(self, file: Place, *, has_seal: bool) -> None:
        why = "is damaged: its checksum does not fit" if has_seal else f"has no seal: {WITHOUT_SEAL}"
        super().__init__(
            f"{file} {why}",
            "a file as demograd wrote it",
            "Run the same `demograd run` again: what is damaged is set aside and made anew",
        )
        self.file, self.has_seal = file, has_seal


def write_sealed(file: Place, write: Callable[[Path], Any]) -> None:
    """Write a file, whole or not at all, of which `write` makes all but the seal."""

    def with_seal(unfinished: Path) -> None:
        write(unfinished)
        with unfinished.open("r+b") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            match = _SEAL.search(content)
            assert match is not None, "what is written must have a place for the seal"
            stream.seek(match.start(1))
            stream.write(_digest(content, match.start(1)).encode())

    written_whole(file, with_seal)


def check_seal(file: Path) -> None:
    """
    Raises:
        Damaged: a byte is not what was written, or the file has no seal.
        FileNotFoundError: there is none.
    """
    if not file.stat().st_size:  # what cannot be mapped
        raise Damaged(file, has_seal=False)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        match = _SEAL.search(content)
        if match is None or _digest(content, match.start(1)).encode() != match[1]:
            raise Damaged(file, has_seal=match is not None)


def _digest(content: mmap.mmap, at: int) -> str:
    """SHA-256 of the whole file with zeros in place of the seal."""
    with memoryview(content) as view, view[:at] as before, view[at + len(NO_SEAL) :] as after:
        digest = hashlib.sha256(before)
        digest.update(NO_SEAL.encode())
        digest.update(after)
    return digest.hexdigest()
