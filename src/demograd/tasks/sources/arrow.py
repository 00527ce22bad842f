"""Columns and class names of Arrow tables: Parquet and Arrow files, and the data sets of `datasets`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from demograd.errors import UserError, shortened

Columns = Mapping[str, list[object]]
ClassNames = dict[str, list[str]]


class ArrowColumns(Mapping[str, list[object]]):
    """The columns of a table, each made into Python values when it is asked for: a task needs few of them."""

    def __init__(self, table: pyarrow.Table) -> None:
        """Raises ValueError where two columns have the same name."""
        if len(set(table.column_names)) < len(table.column_names):
            raise ValueError("two columns have the same name")
        self._table = table
        self._values: dict[str, list[object]] = {}

    def __getitem__(self, name: str) -> list[object]:
        if name not in self._values:
            column = self._table.column(name)
            try:
                self._values[name] = column.to_pylist(maps_as_pydicts="lossy")
            except (ValueError, OverflowError, pyarrow.ArrowException) as error:  # a date after the year 9999
                raise UserError(
                    f"Column {name!r}, of {column.type}, cannot be read ({shortened(str(error))})",
                    "values that Python has",
                    "Write it as text",
                ) from error
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table.column_names

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table.column_names)


def read_parquet(path: Path) -> tuple[Columns, ClassNames]:
    """Columns and class names of a Parquet file.

    Raises ValueError, OSError or arrow's errors, which are of these, for a file that is no such.
    """
    # a file alone: a path such as label=1/a.parquet would else be read as a column
    return columns_of(pyarrow.parquet.ParquetFile(path).read())


def read_arrow(path: Path) -> tuple[Columns, ClassNames]:
    """Columns and class names of an Arrow file (Feather is one), or of a stream, as `datasets` writes it."""
    with pyarrow.OSFile(str(path)) as file:
        try:
            return columns_of(pyarrow.ipc.open_file(file).read_all())
        except pyarrow.ArrowInvalid:
            file.seek(0)
            return columns_of(pyarrow.ipc.open_stream(file).read_all())


def columns_of(table: pyarrow.Table) -> tuple[Columns, ClassNames]:
    """The columns of a table, and the names of numbered classes that `datasets` notes in its metadata."""
    table.validate(full=True)  # a damaged file, or text that is no UTF-8, shows here
    return ArrowColumns(table), _class_names(table.schema)


def _class_names(schema: pyarrow.Schema) -> ClassNames:
    try:
        features: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: [str(class_name) for class_name in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):  # other metadata, or none
        return {}
