"""One run at a time in a run folder."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from demograd.errors import UserError
from demograd.files import lock_where_possible, written_whole

LOCK, HOLDER = "lock", "holder.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out for as long as the block lasts; the system lets go of it when this process dies.

    A file system without locks keeps nobody out (`missing_abilities` says so).

    Raises:
        UserError: another process is in there, or nothing can be written there.
    """
    holder = folder / HOLDER
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_where_possible(folder / LOCK, timeout=0.0))
        except Timeout as taken:
            raise UserError(
                f"{folder} is in use by another run{_described(holder)}",
                "one run at a time in a folder",
                "Wait for it, stop it, or choose another folder with --out",
            ) from taken
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written ({error.strerror})",
                "a folder of yours",
                "Choose another folder with --out",
            ) from error
        try:
            # beside the lock, which a process that wants it may empty; nothing depends on what it says
            mine = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
            written_whole(holder, lambda unfinished: unfinished.write_text(json.dumps(mine), encoding="utf-8"))
            yield
        finally:
            holder.unlink(missing_ok=True)


def _described(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']}, since {told['since']})"
    except (OSError, ValueError):  # it has only just begun
        return ""
