"""A Hugging Face data set as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demograd.errors import UserError
from demograd.tasks.table import Table


@dataclass(frozen=True)
class HubSource:
    """Where a task lies on the hub."""

    id: str
    """owner/name"""
    config: str | None = None
    train: str = "train"
    """Split that demonstrations come from."""
    validation: str | None = None
    """Split that queries come from; None: `validation` where there is one, else a part of `train`."""
    columns: Mapping[str, str] | None = None
    """Template column -> the data set's column, where the names differ."""
    label: str = "label"
    labels: list[str] | None = None
    """The label column's values in class order (names where it declares them)."""


def hub_source(name: str, label_column: str) -> HubSource:
    """The source that "hub:owner/name" or "hub:owner/name/config" names. Raises UserError for any other form."""
    parts = name.removeprefix("hub:").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UserError(
            f"Hub data set {name!r}",
            "hub:owner/name or hub:owner/name/config",
            "Copy the name from the data set's page",
        )
    return HubSource("/".join(parts[:2]), config=parts[2] if len(parts) == 3 else None, label=label_column)


def read_hub(source: HubSource) -> tuple[Table, Table | None]:
    """The training table, and the validation table where there is one. Code of a data set is never run.

    Raises UserError when the data set cannot be had, or lacks a split.
    """
    import datasets  # seconds to import, and most runs use another source

    name = f"hub data set {source.id}" + (f" ({source.config})" if source.config else "")
    try:
        splits = datasets.load_dataset(source.id, source.config)
    except Exception as error:  # http, file, parquet, script refused: one library's errors have no common class
        cause = str(error).strip().splitlines()
        raise UserError(
            f"{name[0].upper() + name[1:]} cannot be loaded ({type(error).__name__}: {cause[0] if cause else ''})",
            "a data set that the hub serves as plain files, and a connection or an earlier download of it",
            "Check the name, the config and the connection, or give a CSV, JSONL or Parquet file",
        ) from error
    validation = source.validation or ("validation" if "validation" in splits else None)
    for split in (source.train, validation):
        if split is not None and split not in splits:
            raise UserError(f"{name} has no split {split!r}", f"one of {', '.join(splits)}", "Choose another split")
    return (
        _table(f"{name} {source.train}", splits[source.train], source.label),
        None if validation is None else _table(f"{name} {validation}", splits[validation], source.label),
    )


def _table(name: str, split: Any, label: str) -> Table:
    feature = split.features.get(label)
    return Table(name, split.to_dict(), getattr(feature, "names", ()))
