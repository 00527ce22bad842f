"""Finished cells and observations of all studies of a user, so that no study measures what another has measured."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from platformdirs import user_cache_path

from demograd.files import Damaged, NoRoom, check_seal, written_whole
from demograd.study.store.keys import content_hash

Kind = Literal["cells", "observations"]


@dataclass(frozen=True)
class Entry:
    """A file in the cache."""

    kind: Kind
    title: str
    """What it was in the study that measured it first."""
    file: Path
    size: int
    """Bytes."""
    is_shared: bool
    """Whether a run folder has this very file too, so that dropping it here frees nothing."""
    age: float
    """Days since it was measured."""


@dataclass(frozen=True)
class Cache:
    """Files by the hash of their keys: a link to the run folder's own file, or a copy where links are impossible."""

    path: Path

    def keep(self, kind: Kind, key: str, file: Path) -> None:
        """Remember a finished file; one with the same hash is as good.

        Where the cache cannot be written, nothing is kept: that costs another study time, and this one nothing.
        """
        here = self._place(kind, key)
        with suppress(OSError, NoRoom):
            if self._find(kind, key) is None:
                here.mkdir(parents=True, exist_ok=True)
                _link(file, here / f"{content_hash(key)}.{key}.safetensors")

    def fetch(self, kind: Kind, key: str, to: Path) -> bool:
        """Put what was measured before where a run folder has it; False: it is not there, or was damaged."""
        found = self._find(kind, key)
        if found is None:
            return False
        try:
            check_seal(found)
            _link(found, to)
        except Damaged:
            with suppress(OSError):  # of another user: it stays, and nobody can use it
                found.unlink(missing_ok=True)
            return False
        except (FileNotFoundError, PermissionError):  # pruned at this moment, or another user's
            return False
        return True

    def entries(self) -> Iterator[Entry]:
        """All of them."""
        now = time.time()
        for kind in get_args(Kind):
            for file in sorted((self.path / kind).glob("*/*.safetensors")):
                facts, title = file.stat(), file.stem.partition(".")[2].rpartition("-")[0]
                yield Entry(kind, title, file, facts.st_size, facts.st_nlink > 1, (now - facts.st_mtime) / 86400)

    def prune(self, older_than: float) -> tuple[int, int]:
        """Drop what was measured more than so many days ago; how many files, and bytes. Run folders stay whole."""
        dropped = [entry for entry in self.entries() if entry.age >= older_than]
        for entry in dropped:
            entry.file.unlink(missing_ok=True)
        return len(dropped), sum(entry.size for entry in dropped)

    def _place(self, kind: Kind, key: str) -> Path:
        return self.path / kind / content_hash(key)[:2]

    def _find(self, kind: Kind, key: str) -> Path | None:
        return next(self._place(kind, key).glob(f"{content_hash(key)}.*.safetensors"), None)


def user_cache() -> Cache | None:
    """Where DEMOGRAD_CACHE says, or this platform's place for caches; None where DEMOGRAD_CACHE is empty."""
    told = os.environ.get("DEMOGRAD_CACHE")
    if told is None:
        return Cache(user_cache_path("demograd") / "finished")
    return Cache(Path(told).expanduser()) if told else None


def _link(file: Path, to: Path) -> None:
    """Files are replaced, never changed in place, so that both names can stand for one."""
    try:
        os.link(file, to)
    except FileExistsError:  # another process was faster
        return
    except OSError:  # another file system, or one without links
        written_whole(to, lambda unfinished: shutil.copyfile(file, unfinished))
