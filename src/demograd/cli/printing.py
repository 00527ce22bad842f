"""How the command line prints tables and sentences, or, for scripts, one JSON object."""

import json
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAP = 2
"""Columns between two columns of a table."""
INDENT = 2
"""By so many columns the values of a row stand in that is printed downwards."""


@dataclass
class Output:
    """What a command prints, and what it collects for scripts."""

    is_quiet: bool = False
    """Print errors, and the path of the page, alone."""
    is_json: bool = False
    """Print nothing on standard output but one JSON object at the end."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What that object holds, beside the exit status."""

    @property
    def speaks(self) -> bool:
        """Whether tables and sentences are printed."""
        return not (self.is_quiet or self.is_json)


_OUTPUT: ContextVar[Output] = ContextVar("output")


def begin_output() -> Output:
    """The output of a command that begins."""
    output = Output()
    _OUTPUT.set(output)
    return output


def output() -> Output:
    """The output of the command that runs."""
    return _OUTPUT.get(None) or begin_output()


def print_json(exit_status: int) -> None:
    """The one object of `--json`."""
    typer.echo(json.dumps(_plain({**output().facts, "exit_status": exit_status}), ensure_ascii=False))


def _plain(value: Any) -> Any:
    """As JSON has it: null for a number that is missing or diverged."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def print_table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Rows under their columns' names; text as it is, without markup.

    Where the words of a row do not fit beside each other, each row is printed downwards: a name and a value a line.
    """
    if not output().speaks:
        return
    console = Console()
    if (widths := _widths([columns, *rows], console.width)) is not None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column, width in zip(columns, widths, strict=True):
            table.add_column(Text(column), width=width, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))  # Text: a data set's name is no markup
        console.print(table)
        return
    for row in rows:
        console.print(Text(row[0], style="bold"))
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                console.print(Padding(Text(f"{column}: {cell}" if column else cell), (0, 0, 0, INDENT)))


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide columns are, so that all fit beside each other and no word is broken; None where they do not fit.

    The widest columns are wrapped first.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    while sum(widths) + GAP * (len(widths) - 1) > width:
        room = [column - word for column, word in zip(widths, words, strict=True)]
        if max(room) <= 0:
            return None
        widest = max(range(len(widths)), key=lambda place: (room[place] > 0, widths[place]))
        widths[widest] -= 1
    return widths


def say(sentence: str, style: str = "") -> None:
    """One sentence, without markup."""
    if output().speaks:
        Console().print(Text(sentence, style=style))


def say_path(name: str, path: Any) -> None:
    """`Report: /a/path`, in one line however long, to be copied; of a quiet command the path alone."""
    if not output().is_json:
        typer.echo(str(path) if output().is_quiet else f"{name}: {path}")
