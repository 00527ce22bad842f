"""Beginning a run in its folder: it holds this study and no other, no other run is in it, and its files are whole."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from demograd.errors import UserError
from demograd.files import (
    Damaged,
    Place,
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
from demograd.study.store.keys import study_content, study_key
from demograd.study.store.lock import HOLDER, LOCK, locked
from demograd.study.store.stored import STUDY, damaged_files


@contextmanager
def opened(folder: RunFolder, study: BaseModel, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folder, or accept one that holds this very study, and keep other runs out of it (where it is local).

    Every file is checked once, here: what is damaged is set aside, so that the run makes it anew. Behind a URL cells
    and observations are not, since each would have to be fetched; they are when they are read (`mended`). A folder that
    was made here, or what was made in one, goes again where a `UserError` ends the block before there is a finished
    cell.

    Raises:
        UserError: it holds another study, or something else, or is in use, or cannot be written.
    """
    try:
        _is_new(folder.path, study)  # before anything is made there
        before = {*folder.path.iterdir()} if folder.path.exists() else None
        for one in (folder.path, folder.path / "cells", folder.path / "observations"):
            make_folder(one)
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
    for one in path.iterdir():
        if one not in before:
            remove(one)


def _is_new(path: Place, study: BaseModel) -> bool:
    if (path / STUDY).is_file():
        _check_same(path, study)
        return False
    # a run that was killed before it had written its study leaves these
    begun = {LOCK, HOLDER, *(file.name for file in unfinished_files(path))} if isinstance(path, Path) else set()
    if path.exists() and any(file.is_file() and file.name not in begun for file in path.rglob("*")):
        raise UserError(
            f"{path} is not empty and is no run folder",
            "a new folder or a run folder",
            "Choose another folder with --out",
        )
    return True


def _check_same(path: Place, study: BaseModel) -> None:
    """By its `study.yaml`; where that is not as it was written, and says nothing, by the mark beside it."""
    try:
        kept = read_yaml(path / STUDY)
    except Damaged as damaged:
        if _mark(path, study).is_file():
            return
        raise UserError(
            f"{damaged.given}, and no file {_mark(path, study).name} beside it says that the run is of this study",
            "the study that was begun there",
            "Put study.yaml back as it was, give the settings it was written for, or choose another folder with --out",
        ) from damaged
    another = UserError(
        f"{path} holds the run of another study",
        "a new folder, or the same settings",
        "Choose another folder with --out",
    )
    if kept.get("kind") != study.model_dump().get("kind"):
        raise another
    try:
        there = validated(type(study), kept)  # settings that an older version did not have get their defaults
    except UserError as error:
        raise UserError(
            f"{path} holds a study that this version of demograd cannot read ({error.given})",
            f"the version of demograd that began it, or a study in which: {error.expected}",
            "Choose another folder with --out, or go on with that version",
        ) from error
    if study_content(there) != study_content(study):
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
