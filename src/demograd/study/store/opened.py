"""Beginning a run in its folder: it holds this study and no other, no other run is in it, and its files are whole."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from demograd.errors import UserError
from demograd.files import Damaged, Place, check_seal, local_copy, read_yaml, remove, unfinished_files, write_yaml
from demograd.study.store.folder import RunFolder
from demograd.study.store.lock import HOLDER, LOCK, locked

_SEALED = ("*.json", "*.yaml", "*.parquet", "cells/*.safetensors", "observations/*.safetensors",
           "checkpoints/*.safetensors", "failures/*.json", "networks/*.json")  # fmt: skip


@contextmanager
def opened(folder: RunFolder, study: BaseModel, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folder, or accept one that holds this very study, and keep other runs out of it (where it is local).

    Every file is checked once, here: what is damaged is set aside, so that the run makes it anew. A folder that was
    made here, or what was made in one, goes again where a `UserError` ends the block before there is a finished cell.

    Raises:
        UserError: it holds another study, or something else, or is in use, or cannot be written.
    """
    _is_new(folder.path, study)  # before anything is made there
    before = {*folder.path.iterdir()} if folder.path.exists() else None
    try:
        for below in ("cells", "observations"):
            (folder.path / below).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder.path} cannot be written ({error.strerror})", "a folder of yours",
                        "Choose another folder with --out") from error  # fmt: skip
    with _alone(folder.path):
        is_new = _is_new(folder.path, study)  # another run may have begun there since
        try:
            folder.set_aside([file for file in _stored(folder.path) if not _is_whole(file)], say)
            if not (folder.path / "study.yaml").is_file():
                write_yaml(folder.path / "study.yaml", study.model_dump(mode="json"))
            yield
        except UserError:
            if is_new and not folder.has_any_cell():  # nothing half-written for what could not work
                _remove_what_is_new(folder.path, before)
            raise


def _remove_what_is_new(path: Place, before: set[Place] | None) -> None:
    """All that is there but what was there `before`; the folder itself, where it was not there."""
    if before is None:
        remove(path)
        return
    for one in path.iterdir():
        if one not in before:
            remove(one)


def _is_new(path: Place, study: BaseModel) -> bool:
    file = path / "study.yaml"
    if file.is_file():
        try:
            kept = read_yaml(file)
        except Damaged:  # cells are known by what is in them, not by the study
            return False
        if kept != study.model_dump(mode="json"):
            raise UserError(f"{path} holds the run of another study", "a new folder, or the same settings",
                            "Choose another folder with --out, or delete this one")  # fmt: skip
        return False
    # a run that was killed before it had written its study leaves these
    begun = {LOCK, HOLDER, *(file.name for file in unfinished_files(path))} if isinstance(path, Path) else set()
    if path.exists() and any(file.is_file() and file.name not in begun for file in path.rglob("*")):
        raise UserError(f"{path} is not empty and is no run folder", "a new folder or a run folder",
                        "Choose another folder with --out")  # fmt: skip
    return True


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


def _stored(path: Place) -> Iterator[Place]:
    for pattern in _SEALED:
        yield from (file for file in path.glob(pattern) if file.name != HOLDER)


def _is_whole(file: Place) -> bool:
    try:
        with local_copy(file) as path:
            check_seal(path)
    except Damaged:
        return False
    return True
