"""A Hugging Face data set as tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import ERROR, getLogger
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
    columns: Mapping[str, str] = field(default_factory=dict)
    """Template column -> the data set's column, where the names differ."""
    label: str = "label"
    labels: Sequence[str] = ()
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
        with _quiet():
            splits = datasets.load_dataset(source.id, source.config)
    except Exception as error:  # http, file, parquet, script refused: one library's errors have no common class
        if datasets.config.HF_HUB_OFFLINE and isinstance(error, ConnectionError):
            raise UserError(f"{name[0].upper() + name[1:]} is not on this machine, and downloads are off",
                            "an earlier download of it", "Unset HF_HUB_OFFLINE, or give a file") from error  # fmt: skip
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


@contextmanager
def no_downloads() -> Iterator[None]:
    """Within this block only data sets that were downloaded before are read, and nothing is asked of the hub."""
    import datasets

    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    hub = getLogger("huggingface_hub")  # tells of every retry; the error at the end says it once
    before = hub.level
    hub.setLevel(ERROR)
    try:
        yield
    finally:
        hub.setLevel(before)


def _table(name: str, split: Any, label: str) -> Table:
    feature = split.features.get(label)
    return Table(name, split.to_dict(), getattr(feature, "names", ()))
