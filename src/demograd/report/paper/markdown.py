"""Tables as Markdown (pipe tables, as GitHub and pandoc read them); text from data is escaped."""

import re
from collections.abc import Iterable

from demograd.report.paper.exhibits import PaperTable, row_name, with_line_breaks_shown
from demograd.report.section import Entry

_SPECIAL = re.compile(r"[\\`*_{}\[\]#|~$^@]|-(?=-)")
"""`@user` is a citation to pandoc, and two hyphens a dash."""
_LIST = re.compile(r"^(\s*|\s*\(?(?:\d+|[A-Za-z]|[IVXLCDMivxlcdm]+)(?=[.)]))([-+:.)])(?=\s|$)")
"""`- `, `+ `, `1. `, `(a) `: what makes an item of a list, or a definition, of a line."""
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str) -> str:
    """Text that no reader of Markdown takes for markup, on one line: `↵` stands for its line breaks."""
    shown = with_line_breaks_shown(text)
    printed = "".join(character if character.isprintable() else " " for character in shown)
    plain = _SPECIAL.sub(r"\\\g<0>", printed)
    return re.sub("[&<>]", lambda special: _MARKUP[special[0]], plain)


def table_file(table: PaperTable) -> str:
    """The Markdown of a table: caption, rows, notes."""
    heads = [", ".join(filter(None, (escaped(head.text), escaped(head.under)))) for head in table.table.heads]
    lines = [f"**{escaped(table.caption)}**", "", _line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    number = 0
    for group in table.table.groups:
        if group.title:
            lines.append(_line([f"*{escaped(group.title)}*", *[""] * (len(heads) - 1)]))
        for row in group.rows:
            cells = [row_name(row), *row.entries]
            lines.append(
                _line(
                    _cell(cell, (number, column) in table.best, table.marks.get((number, column), ""))
                    for column, cell in enumerate(cells)
                )
            )
            number += 1
    for note in table.notes:
        lines += ["", _LIST.sub(r"\1\\\2", escaped(note))]
    return "\n".join(lines) + "\n"


def _cell(cell: Entry, is_best: bool, mark: str) -> str:
    text = f"**{escaped(cell.text)}**" if is_best else escaped(cell.text)
    text += escaped(mark) + (f" ± {escaped(cell.std)}" if cell.std else "")
    return "<br>".join([text, *map(escaped, cell.under)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
