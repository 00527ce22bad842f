"""A Hugging Face data set as tables."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from logging import ERROR, getLogger
from pathlib import Path

from demograd.errors import UserError, shortened
from demograd.hub import downloads_are_off, hub_address, hub_answers, only_earlier_downloads, why_no_repository
from demograd.paths import is_there
from demograd.tasks.sources.folders import table_of_dataset
from demograd.tasks.sources.table import Data, DataTable, chosen_splits

_MOST_SHOWN = 40
"""Configurations that a message spells out."""


@dataclass(frozen=True)
class HubSource:
    """Where a task lies on the hub."""

    id: str
    """owner/name"""
    config: str | None = None
    train: str | None = None
    """Split that demonstrations come from; None: `train`."""
    validation: str | None = None
    """Split that queries come from; None: `validation` where there is one, else a part of `train`."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Template column -> the data set's column, where the names differ."""
    label: str = "label"
    labels: Sequence[str] = ()
    """The label column's values in class order (names where it declares them)."""


def hub_source(
    name: str, label_column: str, split: str | None = None, validation_split: str | None = None
) -> HubSource:
    """The source that "hub:owner/name" or "hub:owner/name/config" names. Raises UserError for any other form."""
    parts = name.removeprefix("hub:").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UserError(
            f"Hub data set {name!r}",
            "hub:owner/name or hub:owner/name/config",
            "Copy the name from the data set's page",
        )
    if why := why_no_repository("/".join(parts[:2])):
        raise UserError(
            f"{name!r}, which no data set of the hub can be called ({why})",
            "hub:owner/name or hub:owner/name/config",
            "Copy the name from the data set's page",
        )
    config = parts[2] if len(parts) == 3 else None
    return HubSource("/".join(parts[:2]), config, split, validation_split, label=label_column)


def read_hub(source: HubSource) -> Data:
    """The training table, and the validation table where there is one. Code of a data set is never run.

    Raises UserError when the data set cannot be had, or lacks a split.
    """
    import datasets  # seconds to import, and most runs use another source

    name = f"hub data set {source.id}" + (f" ({source.config})" if source.config else "")
    is_here = is_there(Path(source.id))  # which `datasets` reads, and asks nobody
    unanswered = not is_here and not downloads_are_off() and not hub_answers()
    try:
        with _quiet(), no_downloads() if unanswered else nullcontext():
            splits = datasets.load_dataset(source.id, source.config)
    except Exception as error:  # http, file, parquet, script refused: one library's errors have no common class
        if unanswered:
            raise UserError(
                f"{name[0].upper() + name[1:]} is not on this machine, and the hub, {hub_address()}, does not answer",
                "a connection to the hub, or an earlier download",
                "Mend the connection, or give a file",
            ) from error
        if datasets.config.HF_HUB_OFFLINE and isinstance(error, ConnectionError):
            raise UserError(
                f"{name[0].upper() + name[1:]} is not on this machine, and downloads are off",
                "an earlier download of it",
                "Unset HF_HUB_OFFLINE, or give a file",
            ) from error
        if configurations := _configurations(str(error)):
            raise _which_configuration(source, configurations) from error
        raise UserError(
            f"{name[0].upper() + name[1:]} cannot be loaded ({type(error).__name__}: {_reason(error)})",
            "a data set that the hub serves as plain files, and a connection or an earlier download of it",
            "Check the name, the config and the connection, or give a file",
        ) from error
    tables = _Tables(name, splits)
    return chosen_splits(name, tables, source.train, source.validation)


class _Tables(Mapping[str, DataTable]):
    """Each split as a table, when it is asked for."""

    def __init__(self, name: str, splits: Mapping[str, object]) -> None:
        self._name, self._splits = name, splits

    def __getitem__(self, split: str) -> DataTable:
        return table_of_dataset(f"{self._name} {split}", self._splits[split])

    def __contains__(self, split: object) -> bool:
        return split in self._splits

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)


def _configurations(message: str) -> list[str]:
    """The names in what `datasets` says where a configuration is missing or unknown; none in other messages."""
    listed = re.search(r"(?:available configs: |Available: )(\[.*?\])", message, re.DOTALL)
    try:
        names = ast.literal_eval(listed[1]) if listed else []
    except (ValueError, SyntaxError):
        return []
    return sorted(map(str, names))


def _which_configuration(source: HubSource, configurations: Sequence[str]) -> UserError:
    shown = ", ".join(repr(shortened(configuration)) for configuration in configurations[:_MOST_SHOWN])
    more = f", … ({len(configurations)} in all)" if len(configurations) > _MOST_SHOWN else ""
    problem = f"has no configuration {source.config!r}" if source.config else "has several configurations"
    return UserError(
        f"Hub data set {source.id} {problem}",
        f"one of {shown}{more}",
        f"Write it behind the name, as in hub:{source.id}/{configurations[0]}",
    )


def _reason(error: Exception) -> str:
    """What the library says, without a status line before it: of a gated data set, that access must be asked for."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentences = [line for line in lines if not re.match(r"\d{3} (Client|Server) Error", line)] or lines
    return shortened(" ".join(sentences[:3]), 400)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Within this block only data sets that were downloaded before are read, and nothing is asked of the hub."""
    import datasets

    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        with only_earlier_downloads():
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
