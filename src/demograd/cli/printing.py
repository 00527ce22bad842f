"""How the command line prints tables and sentences."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(columns: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Rows under their columns' names; text as it is, without markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # a name stands whole on its line, to be copied
        table.add_column(column, no_wrap=number == 0 and not any(" " in row[0] for row in rows), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a data set's name is no markup
    Console().print(table)


def say(sentence: str) -> None:
    """One sentence, without markup."""
    Console().print(Text(sentence))
