"""Whether a folder is one that a run was kept in: asked before anything heavy is imported to read it."""

from pathlib import Path

from demograd.errors import UserError
from demograd.files.place import Place, place
from demograd.paths import is_file


def run_folder(text: str | Place) -> Place:
    """The run folder that a user names.

    Raises:
        UserError: as `place`, and where the folder has no `study.yaml`.
    """
    folder = place(text)
    check_holds(folder, "study.yaml")
    return folder


def check_holds(folder: Place, name: str) -> None:
    """Raises: UserError where a run folder lacks a file that every one has."""
    file = folder / name
    if not (is_file(file) if isinstance(file, Path) else file.is_file()):
        raise UserError(
            f"{folder} has no {name}",
            "a run folder, as `demograd run` writes it",
            "Give the folder that `demograd run --out` named, after at least one cell has finished",
        )
