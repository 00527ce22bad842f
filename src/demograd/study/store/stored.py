"""The files that demograd keeps in a run folder, by their names: whatever else is there is the user's."""

from collections.abc import Iterator

from demograd.files import Damaged, Place, check_seal, local_copy
from demograd.study.store.keys import is_key

STUDY = "study.yaml"
_SMALL = (
    STUDY,
    "inputs.json",
    "demonstrations.json",
    "provenance.json",
    "validity.json",
    "claims.json",
    "matrices.json",
    "results.parquet",
)
_LARGE = {"cells": ".safetensors", "observations": ".safetensors"}
_FEW = {"checkpoints": ".safetensors", "failures": ".json"}


def damaged_files(path: Place, *, large: bool) -> list[Damaged]:
    """Those that are not as they were written; with `large`, also of cells and observations, all of which are read."""
    folders = {**_FEW, **_LARGE} if large else _FEW
    return [damaged for file in _stored(path, folders) if (damaged := _damage(file)) is not None]


def _stored(path: Place, folders: dict[str, str]) -> Iterator[Place]:
    yield from (path / name for name in _SMALL)
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
