"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def written_whole(file: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the file and rename, so that who is stopped half-way leaves what was there before."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write(unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
