"""Tables as CSV: a line per cell, its numbers unrounded and each in a column of its own."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from demograd.report.paper.exhibits import PaperTable
from demograd.report.section import Entry

FIELDS = (
    "table",
    "group",
    "row",
    "weights",
    "about",
    "column",
    "column_about",
    "value",
    "std",
    "ci_low",
    "ci_high",
    "is_conditional",
    "n",
    "n_missing",
    "n_seeds",
    "status",
    "best",
    "mark",
    "text",
)
"""`weights` stands in smaller letters behind a row's name, `about` beneath it; `text` is what the page shows."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes text that begins with one of these for a formula."""


def table_file(table: PaperTable) -> str:
    """The CSV of a table."""
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for record in _records(table):
        writer.writerow({field: _safe(value) for field, value in record.items()})
    return file.getvalue()


def _records(table: PaperTable) -> Iterator[dict[str, Any]]:
    number = 0
    for group in table.table.groups:
        for row in group.rows:
            about = {
                "table": table.name,
                "group": group.title,
                "row": row.name,
                "weights": row.plain,
                "about": "; ".join(row.under),
            }
            for column, (head, cell) in enumerate(zip(table.table.heads[1:], row.entries, strict=True), start=1):
                position = (number, column)
                yield {
                    **about,
                    "column": head.text,
                    "column_about": head.under,
                    **_numbers(cell),
                    "best": int(position in table.best),
                    "mark": table.marks.get(position, ""),
                    "text": "; ".join([cell.text + (f" ± {cell.std}" if cell.std else ""), *cell.under]),
                }
            number += 1


def _numbers(cell: Entry) -> dict[str, Any]:
    """The number of a cell, or, where it was made of none, what its text says if that is one."""
    if cell.number is None:
        text = cell.text.replace("−", "-").replace(",", "")
        return {"value": float(text)} if _NUMBER.fullmatch(text) else {}
    number = cell.number
    counts = {"n": number.n, "n_missing": number.n_missing, "n_seeds": number.n_seeds} if number.n_seeds else {}
    bounds = {"ci_low": number.low, "ci_high": number.high} if number.low is not None else {}
    sure = {"is_conditional": int(number.conditional)} if bounds else {}
    return {"value": number.value, "std": number.std, "status": number.status, **bounds, **sure, **counts}


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return "" if value is None else value
