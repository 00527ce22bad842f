"""What a file system may not be able to do, without which a run goes on, and says so."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

_NOT_HERE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOLCK, errno.EBADF)
"""What systems answer to a call that a file system does not have: network file systems, FUSE, mounts of containers."""


def is_missing(error: OSError) -> bool:
    """Whether the file system cannot do what it was asked, rather than refusing it this time."""
    return error.errno in _NOT_HERE


@contextmanager
def lock_where_possible(file: Path, timeout: float = -1.0) -> Iterator[bool]:
    """Hold the lock of a file for the length of the block; on a file system without locks, hold none.

    Args:
        file: made where there is none.
        timeout: seconds to wait for whoever holds it; -1: as long as it takes.

    Yields:
        Whether the lock is held.

    Raises:
        filelock.Timeout: another holds it.
        OSError: the file cannot be made.
    """
    lock = FileLock(file, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if not is_missing(error):
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def sync(path: Path) -> bool:
    """Wait until the disk has a file's content, or a folder's names; whether the file system can wait for it.

    Raises:
        OSError: the disk refused what was written, as a full one does.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # Windows opens no folders
            return False
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_missing(error):
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def missing_abilities(folder: Path) -> list[str]:
    """A sentence for each thing that the file system of a run's folder cannot do.

    Raises:
        OSError: the folder cannot be written.
    """
    sentences = []
    probe = folder / f".lock.{uuid4().hex}"  # as `unfinished_files` knows what a killed process left
    with lock_where_possible(probe) as is_held:
        if not is_held:
            sentences.append(f"The file system of {folder} has no locks: see to it that no second run works there")
    probe.unlink(missing_ok=True)
    if not sync(folder):
        sentences.append(
            f"The file system of {folder} cannot be asked to write at once: after a power failure the "
            "newest files may be damaged, and are then made anew"
        )
    return sentences
