"""Finished cells and observations of all studies of a user, so that no study measures what another has measured."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from platformdirs import user_cache_path

from demograd.errors import UserError
from demograd.files import Damaged, NoRoom, Place, check_seal, unfinished_files, written_whole

Kind = Literal["cells", "observations"]
WRITTEN_WITHIN = 1 / 24
"""Days that no writer takes for a file: what is unfinished after them was left."""
_NAME = re.compile(r"([0-9a-f]+)-[0-9a-f]{8}\.(?P<title>.+)-\1\.safetensors")


@dataclass(frozen=True)
class CacheEntry:
    """A file in the cache."""

    kind: str
    title: str
    """Its title in the study that measured it first."""
    file: Path
    size: int
    """Bytes."""
    is_shared: bool
    """Whether a run folder has this very file too, so that dropping it here frees nothing."""
    age: float
    """Days since it was measured."""


@dataclass(frozen=True)
class Pruned:
    """The outcome of pruning."""

    dropped: Sequence[CacheEntry]
    remaining: Sequence[CacheEntry]
    """Files that could not be removed: another user's, or on a disk that cannot be written."""


@dataclass(frozen=True)
class Cache:
    """Files by the hash of their keys and of what computed them (`Computing.in_words`): a link to the run folder's own
    file, or a copy where links are impossible."""

    path: Path

    def keep(self, kind: Kind, key: str, computed_on: str, file: Path) -> None:
        """Remember a finished file; one with the same hash, computed on the same, is as good.

        Where the cache cannot be written, nothing is kept: that costs another study time, and this one nothing.
        """
        place = self._place(kind, key)
        with suppress(OSError, NoRoom):
            if self._find(kind, key, computed_on) is None:
                place.mkdir(parents=True, exist_ok=True)
                _link(file, place / f"{_hash(key, computed_on)}.{key}.safetensors")

    def fetch(self, kind: Kind, key: str, computed_on: str, to: Place) -> bool:
        """Put what was measured before where a run folder has it; False: it is not there, or was damaged.

        What was computed on something else (`Computing`) is not taken: an update would be the difference of two
        observations that were rounded differently.

        Raises:
            NoRoom: the run folder does not take it.
        """
        cached = self._find(kind, key, computed_on)
        if cached is None:
            return False
        try:
            check_seal(cached)
            _link(cached, to)
        except Damaged:
            with suppress(OSError):  # of another user: it stays, and nobody can use it
                cached.unlink(missing_ok=True)
            return False
        except OSError:  # pruned at this moment, or another user's
            return False
        return True

    def entries(self) -> Iterator[CacheEntry]:
        """All entries, but for those that others drop meanwhile; files of other names are left alone.

        Raises:
            UserError: the folder cannot be read.
        """
        self._check()
        for kind in self._kinds():
            for file in sorted((self.path / kind).glob("*/*.safetensors")):
                if match := _NAME.fullmatch(file.name):
                    yield from _entry(kind, match["title"], file)

    def unfinished(self) -> Iterator[CacheEntry]:
        """Unfinished files, which writers that were killed have left.

        Raises:
            UserError: the folder cannot be read.
        """
        self._check()
        for kind in self._kinds():
            for file in unfinished_files(self.path / kind):
                yield from _entry(kind, "", file)

    def prune(self, older_than: float) -> Pruned:
        """Drop what was measured more than so many days ago, and what writers that were killed left half-written. Run
        folders stay whole.

        Raises:
            UserError: the folder cannot be read.
        """
        old = [entry for entry in self.entries() if entry.age >= older_than]
        left = [entry for entry in self.unfinished() if entry.age >= WRITTEN_WITHIN]
        dropped, remaining = list[CacheEntry](), list[CacheEntry]()
        for entry in (*old, *left):
            try:
                entry.file.unlink(missing_ok=True)
                dropped.append(entry)
            except OSError:
                remaining.append(entry)
        return Pruned(dropped, remaining)

    def _kinds(self) -> list[str]:
        """The folders of the cache, also those that only another version of demograd fills."""
        return sorted({*get_args(Kind), *(folder.name for folder in self.path.glob("*") if folder.is_dir())})

    def _check(self) -> None:
        try:
            with os.scandir(self.path):
                pass
        except FileNotFoundError:  # nothing was measured yet
            pass
        except OSError as error:
            raise UserError(
                f"The cache {self.path} cannot be read ({error.strerror})",
                "a folder of yours",
                "Correct DEMOGRAD_CACHE, or the permissions of the folder",
            ) from error

    def _place(self, kind: Kind, key: str) -> Path:
        return self.path / kind / content_hash(key)[:2]

    def _find(self, kind: Kind, key: str, computed_on: str) -> Path | None:
        try:
            return next(self._place(kind, key).glob(f"{_hash(key, computed_on)}.*.safetensors"), None)
        except OSError:  # no system takes such a path
            return None


def _hash(key: str, computed_on: str) -> str:
    return f"{content_hash(key)}-{hashlib.sha256(computed_on.encode()).hexdigest()[:8]}"


def content_hash(key: str) -> str:
    """The part of a key that tells what is in the file, without the title."""
    return key.rpartition("-")[2]


def user_cache() -> Cache | None:
    """Where DEMOGRAD_CACHE says, or this platform's place for caches; None where DEMOGRAD_CACHE is empty.

    Raises:
        UserError: it is in the home of a user whom this machine does not know.
    """
    setting = os.environ.get("DEMOGRAD_CACHE")
    if setting is None:
        return Cache(user_cache_path("demograd") / "finished")
    try:
        return Cache(Path(setting).expanduser()) if setting else None
    except RuntimeError as error:
        raise UserError(f"DEMOGRAD_CACHE={setting}, the home of nobody here", "a folder", "Correct it") from error


def _entry(kind: str, title: str, file: Path) -> Iterator[CacheEntry]:
    with suppress(FileNotFoundError):  # dropped since it was listed
        facts = file.stat()
        yield CacheEntry(kind, title, file, facts.st_size, facts.st_nlink > 1, (time.time() - facts.st_mtime) / 86400)


def _link(file: Path, to: Place) -> None:
    """Files are replaced, never changed in place, so that both names can stand for one."""
    if not isinstance(to, Path):
        written_whole(to, lambda unfinished: shutil.copyfile(file, unfinished))
        return
    try:
        os.link(file, to)
    except FileExistsError:  # another process was faster
        return
    except OSError:  # another file system, or one without links
        written_whole(to, lambda unfinished: shutil.copyfile(file, unfinished))
