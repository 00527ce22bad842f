"""A run in its folder: the folder holds this study and no other, no other run is in it, and its files are whole."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from filelock import Timeout
from pydantic import BaseModel

from demograd.errors import UserError
from demograd.files import (
    Damaged,
    Place,
    check_seal,
    local_copy,
    lock_where_possible,
    make_folder,
    missing_abilities,
    read_yaml,
    remove,
    unfinished_files,
    write_yaml,
    written_whole,
)
from demograd.study.spec.validation import validated
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import is_key, study_content, study_key

LOCK, HOLDER = "lock", "holder.json"
STUDY = "study.yaml"
# The files that demograd keeps in a run folder are known by their names; whatever else is there is the user's.
_DOCUMENTS = (
    STUDY,
    "inputs.json",
    "demonstrations.json",
    "provenance.json",
    "validity.json",
    "claims.json",
    "matrices.json",
    "results.parquet",
    "matching.parquet",
    "queries.parquet",
    "attention.parquet",
)
_LARGE = {"cells": ".safetensors", "observations": ".safetensors"}
_SMALL = {"checkpoints": ".safetensors", "failures": ".json"}


Result = TypeVar("Result")


@contextmanager
def run_session(folder: RunFolder, study: BaseModel, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folder, or accept one that holds this very study, and keep other runs out of it (where it is local).

    Every file is checked once, here: what is damaged is set aside, so that the run makes it anew. Behind a URL cells
    and observations are not checked here, since each would have to be fetched, but when they are read (`with_repair`).
    A folder that was made here, or what was made in one, goes again where a `UserError` ends the block before there is
    a finished cell.

    Raises:
        UserError: it holds another study, or something else, or is in use, or cannot be written.
    """
    try:
        _is_new(folder.path, study)  # before anything is made there
        before = {*folder.path.iterdir()} if folder.path.exists() else None
        for subfolder in (folder.path, *(folder.path / name for name in _LARGE)):
            make_folder(subfolder)
    except OSError as error:
        raise UserError(
            f"{folder.path} cannot be written ({error.strerror or error})",
            "a folder of yours",
            "Choose another folder with --out",
        ) from error
    with _alone(folder.path):
        for sentence in missing_abilities(folder.path) if isinstance(folder.path, Path) else ():
            say(sentence)
        is_new = _is_new(folder.path, study)  # another run may have begun there since
        try:
            folder.set_aside(damaged_files(folder.path, large=isinstance(folder.path, Path)), say)
            _sign(folder.path, study)
            yield
        except UserError:
            if is_new and not folder.has_any_cell():  # nothing half-written for what could not work
                _remove_what_is_new(folder.path, before)
            raise


def _sign(path: Place, study: BaseModel) -> None:
    """Say twice whose folder it is, so that a damaged or edited `study.yaml` does not let another study in."""
    settings = study.model_dump(mode="json")
    if not (path / STUDY).is_file() or read_yaml(path / STUDY) != settings:  # it is called otherwise now
        write_yaml(path / STUDY, settings)
    if not (mark := _mark(path, study)).is_file():
        written_whole(mark, lambda unfinished: unfinished.touch())


def _mark(path: Place, study: BaseModel) -> Place:
    """An empty file: its name is all that it says, and no bit of that can flip unseen."""
    return path / f"study-{study_key(study)}"


def _remove_what_is_new(path: Place, before: set[Place] | None) -> None:
    """All that is there but what was there `before`; the folder itself, where it was not there."""
    if before is None:
        remove(path)
        return
    for file in path.iterdir():
        if file not in before:
            remove(file)


def _is_new(path: Place, study: BaseModel) -> bool:
    if (path / STUDY).is_file():
        _check_same(path, study)
        return False
    # a run that was killed before it had written its study leaves these
    unfinished = {LOCK, HOLDER, *(file.name for file in unfinished_files(path))} if isinstance(path, Path) else set()
    if path.exists() and any(file.is_file() and file.name not in unfinished for file in path.rglob("*")):
        raise UserError(
            f"{path} is not empty and is no run folder",
            "a new folder or a run folder",
            "Choose another folder with --out",
        )
    return True


def _check_same(path: Place, study: BaseModel) -> None:
    """Compare with its `study.yaml`; where that is not as it was written, look for the mark beside it."""
    try:
        settings = read_yaml(path / STUDY)
    except Damaged as damaged:
        if _mark(path, study).is_file():
            return
        raise UserError(
            f"{damaged.problem}, and no file {_mark(path, study).name} beside it says that the run is of this study",
            "the study that was begun there",
            "Put study.yaml back as it was, give the settings it was written for, or choose another folder with --out",
        ) from damaged
    another = UserError(
        f"{path} holds the run of another study",
        "a new folder, or the same settings",
        "Choose another folder with --out",
    )
    if settings.get("kind") != study.model_dump().get("kind"):
        raise another
    try:
        other = validated(type(study), settings)  # settings that an older version did not have get their defaults
    except UserError as error:
        raise UserError(
            f"{path} holds a study that this version of demograd cannot read ({error.problem})",
            f"the version of demograd that began it, or a study in which: {error.expected}",
            "Choose another folder with --out, or go on with that version",
        ) from error
    if study_content(other) != study_content(study):
        raise another


@contextmanager
def _alone(path: Place) -> Iterator[None]:
    """Without other runs, and without what runs that were killed left half-written."""
    if not isinstance(path, Path):
        yield
        return
    with locked(path):
        for file in unfinished_files(path):
            file.unlink(missing_ok=True)
        yield
        shutil.rmtree(path / "locks", ignore_errors=True)


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
        except Timeout as busy:
            raise UserError(
                f"{folder} is in use by another run{_described(holder)}",
                "one run at a time in a folder",
                "Wait for it, stop it, or choose another folder with --out",
            ) from busy
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
        content = json.loads(holder.read_text(encoding="utf-8"))
        return f" (process {content['pid']} on {content['host']}, since {content['since']})"
    except (OSError, ValueError):  # it has only just begun
        return ""


def with_repair(folder: RunFolder, work: Callable[[], Result], say: Callable[[str], None]) -> Result:
    """Result of `work`; where it reads a damaged file, all files are checked, and it works once more.

    Args:
        folder: where it reads and writes, opened.
        work: measures what the folder does not have, so that the second time costs what was damaged.
        say: told which files were set aside.

    Raises:
        Damaged: a file is damaged again.
    """
    try:
        return work()
    except Damaged:
        folder.set_aside(damaged_files(folder.path, large=True), say)
        return work()


def damaged_files(path: Place, *, large: bool) -> list[Damaged]:
    """Files that are not as they were written; with `large`, also cells and observations, all of which are read."""
    folders = {**_SMALL, **_LARGE} if large else _SMALL
    return [damaged for file in _stored(path, folders) if (damaged := _damage(file)) is not None]


def _stored(path: Place, folders: dict[str, str]) -> Iterator[Place]:
    yield from (path / name for name in _DOCUMENTS)
    for folder, suffix in folders.items():
        for file in (path / folder).glob(f"*{suffix}"):
            if is_key(file.name.removesuffix(suffix).removesuffix("-snapshots")):
                yield file


def _damage(file: Place) -> Damaged | None:
    try:
        with local_copy(file) as copy:
            check_seal(copy)
    except Damaged as damaged:
        return Damaged(file, has_seal=damaged.has_seal)
    except FileNotFoundError:  # another run, where nothing locks, has just set it aside
        return None
    return None
