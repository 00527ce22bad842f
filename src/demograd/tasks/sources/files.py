"""A user's file as a table: its suffix says of which kind it is, and how it is compressed."""

import bz2
import codecs
import csv
import gzip
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path

from demograd.errors import UserError, shortened
from demograd.paths import is_file
from demograd.tasks.sources.table import DataTable
from demograd.tasks.sources.text_formats import read_delimited_text, read_json_text

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte-order marks; that of UTF-32 begins as that of UTF-16."""


def _zstd(content: bytes) -> bytes:
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), "zstd") as stream:
        unpacked: bytes = stream.read()
    return unpacked


_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _zstd,
}
_READ_TEXT: Mapping[str, Callable[[str], Mapping[str, list[object]]]] = {
    ".csv": read_delimited_text,
    ".tsv": read_delimited_text,
    ".json": read_json_text,
    ".jsonl": read_json_text,
    ".ndjson": read_json_text,
}
_BINARY = (".parquet", ".arrow", ".feather")
SUFFIXES = (*_READ_TEXT, *_BINARY)
"""Suffixes of files that can be read; those of text may have one of a compression behind it."""


def suffix_of(path: Path) -> str:
    """What says the kind of a file, in lower case: ".csv" of data.CSV.gz; "" where it is none that can be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _DECOMPRESS:
        suffixes.pop()
        return suffixes[-1] if suffixes and suffixes[-1] in _READ_TEXT else ""
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else ""


def stem_of(path: Path) -> str:
    """A file's name without the suffixes of its kind and compression."""
    return Path(path.stem).stem if path.suffix.lower() in _DECOMPRESS else path.stem


def read_file(path: str | Path, encoding: str | None = None) -> DataTable:
    """Every column of the file at `path`.

    Files of text are in `encoding`; without it in what their byte-order mark says, or UTF-8. Cells of CSV and TSV files
    stay text ("NA" is a word, not a gap); their first line names the columns, and shows what separates cells. JSON is
    an array of objects, one under a name such as "data", or an object per line; a key that is not there is an empty
    cell.

    Raises UserError for a file that is missing, empty, of another kind, or not what its suffix says.
    """
    path = Path(path)
    kind = suffix_of(path)
    if not kind:
        raise UserError(
            f"File {path} ends in {shortened(path.suffix)!r}",
            f"one of {', '.join(SUFFIXES)}; text also with {', '.join(_DECOMPRESS)} behind it",
            "Convert the file",
        )
    if not is_file(path):
        raise UserError(f"There is no file {path}", "a file that exists", "Check the path")
    _check_encoding(encoding)
    try:
        if kind in _BINARY:
            from demograd.tasks.sources.arrow import read_arrow, read_parquet

            columns, class_names = (read_parquet if kind == ".parquet" else read_arrow)(path)
        else:
            columns, class_names = _READ_TEXT[kind](_text(path, encoding)), {}
    # arrow's errors and bad JSON are ValueErrors or these; JSON nested a thousand deep is a RecursionError; lzma's and
    # gzip's have classes of their own, or end in EOFError
    except (OSError, ValueError, RecursionError, EOFError, csv.Error, lzma.LZMAError, NotImplementedError) as error:
        cause = shortened(" ".join(str(error).split()), 300)
        raise UserError(
            f"File {path} cannot be read as {kind[1:].upper()} ({cause})",
            "a CSV or TSV file with a header, JSON objects, or a Parquet or Arrow file; text in UTF-8, or in the "
            "encoding that is named",
            "Mend the file, or give it the suffix of what it is",
        ) from error
    if not any(columns[name] for name in list(columns)[:1]):
        raise UserError(f"File {path} is empty", "a row for each example", "Give a file with data")
    return DataTable(f"file {path}", columns, class_names)


def _check_encoding(encoding: str | None) -> None:
    if encoding is None:
        return
    try:
        b"a".decode(encoding)
    except (LookupError, ValueError) as error:
        if isinstance(error, LookupError):  # also of a codec that makes no text, such as "hex"
            raise UserError(
                f"The encoding {shortened(encoding)!r}", "the name of a text encoding", "Name one, such as latin-1"
            ) from error


def _text(path: Path, encoding: str | None) -> str:
    """The whole file.

    Raises UserError where it is not in `encoding`, or not in UTF-8 and no encoding is named.
    """
    content = path.read_bytes()
    if unpack := _DECOMPRESS.get(path.suffix.lower()):
        content = unpack(content)
    elif content.startswith(b"\x1f\x8b"):
        raise ValueError(f"it is compressed with gzip: call it {path.name}.gz")
    marked = next((name for mark, name in _BOMS.items() if content.startswith(mark)), None)
    used = encoding or marked or "utf-8"
    do = "Say which, as encoding: latin-1 (or windows-1252, utf-16, …), or save the file in UTF-8"
    try:
        text = content.decode(used)
    except ValueError as error:
        at = getattr(error, "start", 0)
        line = content[:at].count(b"\n") + 1
        raise UserError(
            f"File {path} is not in {used.upper()} (line {line}: {shortened(str(error))})",
            "a file in UTF-8, or the name of another encoding",
            do,
        ) from error
    if encoding is None and marked is None and content[:200].count(0) > len(content[:200]) // 3:
        raise UserError(
            f"File {path} is not in UTF-8: every second byte is zero, as in UTF-16",
            "a file in UTF-8, or the name of another encoding",
            "Say encoding: utf-16-le",
        )
    return text.removeprefix("\ufeff")
