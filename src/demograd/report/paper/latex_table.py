"""Tables for LaTeX, with booktabs: as floats of one column or two, that shrink to fit and are continued where long."""

from collections.abc import Iterator, Sequence

from demograd.report.paper.exhibits import PaperTable, row_name
from demograd.report.paper.latex_text import escaped
from demograd.report.section import Entry, Group, Table, TableRow

PACKAGES = r"\usepackage{array,booktabs,graphicx,amssymb}"
"""What a document needs for the tables and figures; all of it is in Debian's texlive-latex-base and -recommended."""
LONGEST = 42
"""Lines of one table; a longer one is continued in another."""
COLUMN = 52
"""Characters of a table's row that fit into one column of two."""
_WORDS = 26
"""Characters of a cell from which its column wraps."""


def table_file(table: PaperTable) -> str:
    """The LaTeX of a table: one float, or several where it is long."""
    parts = list(_parts(table.table, LONGEST))
    floats = []
    starts = 0
    for number, groups in enumerate(parts):
        floats.append(_float(table, groups, starts, number, len(parts)))
        starts += sum(len(group.rows) for group in groups)
    return "\n".join(floats)


def _parts(table: Table, longest: int) -> Iterator[list[Group]]:
    """The groups of each float: groups are cut where they do not fit."""
    part: list[Group] = []
    lines = 0
    for group in table.groups:
        rows: list[TableRow] = []
        for row in group.rows:
            height = max(1 + len(cell.under) + len(cell.text) // 60 for cell in (row_name(row), *row.entries))
            if lines + height > longest and (part or rows):
                yield [*part, Group(group.title, tuple(rows))] if rows else part
                part, rows, lines = [], [], 0
            rows.append(row)
            lines += height
        part.append(Group(group.title, tuple(rows)))
    yield part


def _float(table: PaperTable, groups: Sequence[Group], start: int, number: int, n_parts: int) -> str:
    columns = _columns(table.table)
    wide = "*" if sum(columns) > COLUMN else ""
    body = list(_rows(table, groups, start, columns))
    is_text = [place == 0 or head.words for place, head in enumerate(table.table.heads)]
    specification = "".join(map(_column, columns, is_text))
    caption = escaped(table.caption) + (f" Part {number + 1} of {n_parts}." if n_parts > 1 else "")
    label = f"tab:{table.name}" + (f"-{number + 1}" if number else "")
    notes = " ".join(map(escaped, table.notes)) if number == n_parts - 1 else ""
    lines = [
        rf"\begin{{table{wide}}}[tp]",
        r"\centering\footnotesize",
        rf"\caption{{{caption}}}\label{{{label}}}\vspace{{4pt}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{specification}@{{}}}}",
        r"\toprule",
        *_heads(table.table, columns),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        *([rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}}}"] if notes else []),
        rf"\end{{table{wide}}}",
        "",
    ]
    return "\n".join(lines)


def _columns(table: Table) -> list[int]:
    """The characters of each column: of its head, and of its longest line."""
    rows = [(row_name(row), *row.entries) for group in table.groups for row in group.rows]
    widths = []
    for place, head in enumerate(table.heads):
        lines = [line for row in rows for line in (_in_one_line(row[place]), *row[place].under)]
        titles = [title for title in (head.text, head.under) if len(title) <= _WORDS]
        widths.append(max(map(len, (*titles, *lines)), default=0))
    return widths


def _in_one_line(cell: Entry) -> str:
    return f"{cell.text} ± {cell.std}" if cell.std else cell.text


def _column(width: int, is_text: bool) -> str:
    """`l` or `r`, or a paragraph whose width follows from its text where it has to wrap."""
    if width > _WORDS:
        share = min(0.34, max(0.16, 0.0048 * width))
        return rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\textwidth}}"
    return "l" if is_text else "r"


def _heads(table: Table, columns: Sequence[int]) -> Iterator[str]:
    cells = []
    for place, (head, width) in enumerate(zip(table.heads, columns, strict=True)):
        under = [rf"\scriptsize {escaped(head.under)}"] if head.under else []
        cells.append(_stack([escaped(head.text), *under], "l" if place == 0 or head.words or width > _WORDS else "r"))
    yield "{}" + " & ".join(cells) + r" \\"


def _rows(table: PaperTable, groups: Sequence[Group], start: int, columns: Sequence[int]) -> Iterator[str]:
    # rows begin with {}: LaTeX would take a name that begins with [ or * for part of the command before it
    number = start
    is_tall = max(columns) > _WORDS or any(cell.under for group in groups for row in group.rows for cell in row.entries)
    for place, group in enumerate(groups):
        if place:
            yield r"\addlinespace"
        if group.title:
            yield rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\itshape {escaped(group.title)}}} \\"
        for row in group.rows:
            cells = [
                _cell(cell, width, column, (number, column) in table.best, table.marks.get((number, column), ""))
                for column, (cell, width) in enumerate(zip((row_name(row), *row.entries), columns, strict=True))
            ]
            yield (r"\addlinespace[2pt] " if is_tall else "") + "{}" + " & ".join(cells) + r" \\"
            number += 1


def _cell(cell: Entry, width: int, column: int, is_best: bool, mark: str) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{{text}}}" if is_best else text
    text += rf"\textsuperscript{{{escaped(mark)}}}" if mark else ""
    text += rf" {{\scriptsize $\pm$ {escaped(cell.std)}}}" if cell.std else ""
    under = [rf"{{\scriptsize {escaped(line)}}}" for line in cell.under]
    if width > _WORDS:
        return r" \newline ".join([text, *under])
    return _stack([text, *under], "r" if column else "l")


def _stack(lines: Sequence[str], side: str) -> str:
    """Lines above each other in one cell."""
    if len(lines) == 1:
        return lines[0]
    return rf"\begin{{tabular}}[t]{{@{{}}{side}@{{}}}}" + r" \\[-0.3ex] ".join(lines) + r"\end{tabular}"
