"""Rows become one tidy table, `results.parquet` (docs/run-folder.md)."""

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import get_type_hints

import numpy as np
import pandas as pd

from demograd.files import write_table
from demograd.study.store.folder import RunFolder
from demograd.words import COLUMNS, Row

_DTYPES = {int | None: "Int64", float | None: "float64"}
_COLUMN_DTYPES = {column: _DTYPES.get(kind, "object") for column, kind in get_type_hints(Row).items()}
MEASURED = ["value", "std", "ci_low", "ci_high"]
ROWS = 5_000
"""That are made into a table at once."""


def write_results(folder: RunFolder, rows: Iterator[Row]) -> pd.DataFrame:
    """Write `results.parquet`, and return it."""
    tables = list[pd.DataFrame]()
    # a part at a time: as objects, all rows of a large study would not fit into memory
    while part := list(islice(rows, ROWS)):
        tables.append(as_table(part))
    table = pd.concat(tables, ignore_index=True) if tables else as_table([])
    write_table(folder.path / "results.parquet", table)
    return table


def as_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as `results.parquet` has them: whole numbers whole, no number infinite, and every value with a status."""
    table = pd.DataFrame(map(attrgetter(*COLUMNS), rows), columns=list(COLUMNS)).astype(_COLUMN_DTYPES)
    for column in ("setting", "versus", "reading"):  # plain text: a table outlives the types of this version
        table[column] = table[column].map(str, na_action="ignore")
    diverged = np.isinf(table.value)
    table["status"] = table.status.where(~diverged | table.status.notna(), "diverged")
    table[MEASURED] = table[MEASURED].where(np.isfinite(table[MEASURED]))
    status = table.value.isna().map({True: "missing", False: "ok"})
    table["status"] = table.status.where(table.status.notna(), status)
    return table
