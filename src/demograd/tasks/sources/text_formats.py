"""Text of a CSV, TSV or JSON file as columns. Each cell stays what is written: no type is guessed at."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping

from demograd.errors import quoted

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FIELD_LIMIT = 2**31 - 1
_ROWS_UNDER = ("data", "rows", "records", "examples", "train")
"""Names under which a JSON object holds its rows."""


def read_delimited_text(text: str) -> dict[str, list[object]]:
    """The columns of a CSV or TSV file, whose first line names them.

    Python's reader is used rather than that of pandas, which fills rows that are too short, or of pyarrow, which takes
    a quote that is never closed for the rest of the file.

    Raises ValueError or csv.Error for rows of another length than the header's, names that come twice, and quotes that
    do not close.
    """
    line, declared = text.partition("\n")[0].strip("\r"), None
    if declaration := re.fullmatch(r"sep=(.)", line):  # a spreadsheet's note to itself
        text, declared = text.partition("\n")[2], declaration[1]
        line = text.partition("\n")[0]
    separator = declared or _separator(line)
    rows = _unquoted_rows(text) if separator == "\t" else None
    if rows is None:
        rows = [*_quoted_rows(text, separator)]
    header = [name.strip() for name in rows[0][1]] if rows else []
    if len(set(header)) < len(header):
        raise ValueError("two columns have the same name")
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"line {number} has {len(row)} cells, the header {len(header)}"
                f" (separated by {SEPARATORS.get(separator, repr(separator))})"
            )
    return {name: [row[column] for _, row in rows[1:]] for column, name in enumerate(header)}


def _separator(header: str) -> str:
    """What stands most often between the names of columns; quoted parts do not count."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)


def _quoted_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line number at its end, cells) of every row that is not empty."""
    before = csv.field_size_limit(_FIELD_LIMIT)  # long texts are texts; what does not fit a model is left out later
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        yield from ((reader.line_num, row) for row in reader if row)
    finally:
        csv.field_size_limit(before)


def _unquoted_rows(text: str) -> list[tuple[int, list[str]]] | None:
    """Rows of a file of tabs that knows no quotes, as GLUE's; None where quotes enclose cells.

    They do where lines differ in their number of cells, or every cell that begins with a quote also ends in one.
    """
    lines = [(number, line.split("\t")) for number, line in enumerate(re.split("\r\n|\n|\r", text), 1) if line]
    quoted = [cell for _, row in lines for cell in row if cell.startswith('"')]
    as_csv = all(len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', "") for cell in quoted)
    if as_csv or len({len(row) for _, row in lines}) != 1:
        return None
    return lines


def read_json_text(text: str) -> dict[str, list[object]]:
    """The columns of an array of objects, of an object of rows or columns, or of an object per line.

    Raises ValueError for anything else.
    """
    if text.lstrip()[:1] == "[":
        try:
            whole = json.loads(text)
        except ValueError:  # lines, the first of which is an array: said of that line
            whole = None
        if isinstance(whole, list) and (not whole or isinstance(whole[0], dict)):
            return _columns(enumerate(whole, 1), "item")
    elif text.lstrip()[:1] == "{" and (columns := _of_one_object(text)) is not None:
        return columns
    return _columns(_lines(text), "line")


def _of_one_object(text: str) -> dict[str, list[object]] | None:
    """Columns of a file that is one object; None where there is an object per line, or only one row."""
    try:
        whole = json.loads(text)
    except ValueError:
        return None
    columns_of = {
        name: set(value[0])
        for name, value in whole.items()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    first = next(iter(columns_of.values()), set[str]())
    alike = [name for name, columns in columns_of.items() if columns <= first or columns >= first]
    if len(alike) > 1:  # a list of classes beside the rows has other columns
        names = ", ".join(map(quoted, alike[:5]))
        raise ValueError(
            f"it holds several lists of rows ({names}): write each into a file of its own, and give the one with the "
            "queries as validation_path"
        )
    rows = next((whole[name] for name in _ROWS_UNDER if isinstance(whole.get(name), list)), None)
    if rows is None and len(whole) == 1 and isinstance(only := next(iter(whole.values())), list):
        rows = only
    if rows and isinstance(rows[0], dict):
        return _columns(enumerate(rows, 1), "item")
    columns = {name: [*column.values()] if isinstance(column, dict) else column for name, column in whole.items()}
    lists = [column for column in columns.values() if isinstance(column, list)]
    if len(lists) == len(columns) and len({len(column) for column in lists}) == 1 and len(lists) > 1:
        return columns  # as pandas writes them, or lists side by side
    return None


def _lines(text: str) -> Iterator[tuple[int, object]]:
    # not splitlines: a text may hold U+2028 or U+0085, which JSON lets stand as they are
    for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _columns(rows: Iterator[tuple[int, object]] | enumerate[object], unit: str) -> dict[str, list[object]]:
    objects: list[Mapping[str, object]] = []
    for number, row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{unit} {number} is not an object")
        objects.append(row)
    names = dict.fromkeys(name for row in objects for name in row)
    return {name: [row.get(name) for row in objects] for name in names}
