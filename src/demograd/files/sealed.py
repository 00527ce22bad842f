"""The formats of a run folder, each written with a seal and read only where it is unbroken.

All that write raise `NoRoom` where the disk is full; all that read raise `Damaged` for what is not as it was
written, and `FileNotFoundError` for what is not there.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from demograd.files.place import Place, local_copy
from demograd.files.seal import NAME, NO_SEAL, Damaged, check_seal, write_sealed

Content = TypeVar("Content")


def write_json(file: Place, content: dict[str, Any] | list[Any]) -> None:
    """An object gets a field more; a list becomes the field `rows` of one, which so no object may have alone."""
    whole = {NAME: NO_SEAL, **(content if isinstance(content, dict) else {"rows": content})}
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    write_sealed(file, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def read_json(file: Place) -> Any:
    """What `write_json` was given."""
    content = _read(file, lambda path: json.loads(path.read_text(encoding="utf-8")))
    content.pop(NAME)
    return content["rows"] if list(content) == ["rows"] else content


def write_yaml(file: Place, content: Any) -> None:
    """With a comment as its first line."""
    text = f"# {NAME}: {NO_SEAL}\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}"
    write_sealed(file, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def read_yaml(file: Place) -> Any:
    """What `write_yaml` was given."""
    return _read(file, lambda path: yaml.safe_load(path.read_text(encoding="utf-8")))


def write_table(file: Place, table: pd.DataFrame) -> None:
    """As Parquet, without the index."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, NAME: NO_SEAL})

    def write(unfinished: Path) -> None:
        with unfinished.open("wb") as stream:  # pyarrow would read `~` and `a:b` in a path as its own signs
            pq.write_table(arrow, stream)

    write_sealed(file, write)


def read_table(file: Place) -> pd.DataFrame:
    """What `write_table` was given."""
    return _read(file, lambda path: pd.read_parquet(BytesIO(path.read_bytes())))


def write_tensors(file: Place, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """As safetensors."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {**(metadata or {}), NAME: NO_SEAL}
    write_sealed(file, lambda unfinished: save_file(tensors, unfinished, metadata))


@contextmanager
def sealed_tensors(file: Place) -> Iterator[Any]:
    """What `safe_open` gives."""
    with local_copy(file) as path:
        _check(file, path)
        with safe_open(path, framework="pt") as tensors:
            yield tensors


def _read(file: Place, read: Callable[[Path], Content]) -> Content:
    with local_copy(file) as path:
        _check(file, path)
        return read(path)


def _check(file: Place, copy: Path) -> None:
    try:
        check_seal(copy)
    except Damaged as damaged:  # the file that the user knows
        raise Damaged(file, has_seal=damaged.has_seal) from damaged
