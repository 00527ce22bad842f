"""A folder as a data set: what `datasets` saved to disk, or files of one kind, each a part of the whole."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demograd.errors import UserError, shortened
from demograd.paths import is_there
from demograd.tasks.sources.files import SUFFIXES, read_file, suffix_of
from demograd.tasks.sources.table import Data, DataTable, chosen_splits

_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval"),
}
"""What a file or folder of a split has in its name, as the hub reads them."""
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "metadata.json")
"""JSON files beside data that hold none."""


def read_path(
    path: str | Path, encoding: str | None = None, split: str | None = None, validation_split: str | None = None
) -> Data:
    """A file, or a folder of them (see `read_file`). Raises UserError for what cannot be read, or has no such split."""
    path = Path(path)
    if not (is_there(path) and path.is_dir()):
        if split or validation_split:
            raise UserError(
                f"File {path} and a split of it",
                "a folder or hub data set with splits",
                "Leave split and validation_split out; validation_path names a second file",
            )
        return Data(read_file(path, encoding))
    name = f"folder {path}"
    saved = (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()
    splits = _saved(path, name) if saved else _shards(path, name, encoding)
    if list(splits) == [""]:
        if split or validation_split:
            raise UserError(
                f"Folder {path} has no splits", "a folder with splits", "Leave split and validation_split out"
            )
        return Data(splits[""])
    return chosen_splits(name, splits, split, validation_split)


def table_of_dataset(name: str, dataset: Any) -> DataTable:
    """A split as `datasets` has it; nothing in it (an image, a sound) is decoded."""
    from demograd.tasks.sources.arrow import columns_of

    columns, _ = columns_of(dataset.with_format("arrow")[:])
    names = {column: feature.names for column, feature in dataset.features.items() if hasattr(feature, "names")}
    return DataTable(name, columns, names)


def _saved(path: Path, name: str) -> Mapping[str, DataTable]:
    """By split; under "" where there are none."""
    import datasets  # seconds to import, and most runs use another source

    try:
        # in memory: a file that is mapped must not change before it is read
        loaded = datasets.load_from_disk(str(path), keep_in_memory=True)
    except Exception as error:  # files missing, damaged, of another version: one library's errors have no common class
        raise UserError(
            f"Folder {path} cannot be loaded ({type(error).__name__}: {shortened(str(error), 300)})",
            "what save_to_disk of datasets wrote, whole",
            "Save it anew",
        ) from error
    parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    return {split: table_of_dataset(f"{name} {split}".strip(), part) for split, part in parts.items()}


def _shards(path: Path, name: str, encoding: str | None) -> Mapping[str, DataTable]:
    """Files of one kind, by the split that their names or folders tell; under "" where none tells any."""
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and suffix_of(file)
        and file.name not in _DESCRIPTIONS
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    kinds = sorted({suffix_of(file) for file in files})
    if len(kinds) != 1:
        content = "no data files" if not kinds else f"files of several kinds ({', '.join(kinds)})"
        raise UserError(
            f"Folder {path} holds {content}",
            f"files of one kind ({', '.join(SUFFIXES)}), or what save_to_disk wrote",
            "Name one of its files, or a folder with data alone",
        )
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(_split_of(file.relative_to(path)), []).append(file)
    if "" in by_split and len(by_split) > 1:
        stray = by_split[""][0].relative_to(path)
        raise UserError(
            f"Folder {path} holds files of splits, and others ({stray})",
            "train, validation or test in the name of each, or of none",
            "Rename or remove it",
        )
    return {
        split: _joined(f"{name} {split}".strip(), [read_file(file, encoding) for file in parts])
        for split, parts in by_split.items()
    }


def _split_of(file: Path) -> str:
    words = re.split(r"[\W_\d]+", str(file).lower())
    return next((split for split, names in _SPLIT_WORDS.items() if any(name in words for name in names)), "")


def _joined(name: str, tables: Sequence[DataTable]) -> DataTable:
    """The rows of all tables in order. Raises UserError where their columns or classes differ."""
    first = tables[0]
    for other in tables[1:]:
        if set(other.columns) != set(first.columns) or other.class_names != first.class_names:
            raise UserError(
                f"{other.name} has other columns or class names than {first.name}",
                "parts of one data set",
                "Remove it from the folder",
            )
    return DataTable(
        name,
        {column: [cell for table in tables for cell in table.columns[column]] for column in first.columns},
        first.class_names,
    )
