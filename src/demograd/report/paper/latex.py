"""Text and tables for LaTeX. Whatever comes from data is escaped: no command, comment or file can come out of it."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from demograd.report.paper.exhibits import PaperTable
from demograd.report.section import Entry, Group, Table, TableRow

PACKAGES = r"\usepackage{array,booktabs,graphicx,amssymb}"
"""What a document needs for the tables and figures; all of it is in Debian's texlive-latex-base and -recommended."""
LONGEST = 42
"""Lines of one table; a longer one is continued in another."""
COLUMN = 52
"""Characters of a table's row that fit into one column of two."""
_WORDS = 26
"""Characters of a cell from which its column wraps."""

_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "_": r"\_",
    "$": r"\$",
    "#": r"\#",
    "&": r"\&",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"": r': "",
    "`": r"\textquoteleft{}",
    "–": "--",
    "—": "---",
    "‑": "-",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "„": ",,",
    "…": r"\dots{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "§": r"$\mathsection$",
    "¶": r"$\mathparagraph$",
    "©": "(c)",
    "£": r"$\mathsterling$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "¡": "!`",
    "¿": "?`",
    "«": r"$\ll$",
    "»": r"$\gg$",
}
del _CHARACTERS['"": r']
_CHARACTERS['"'] = "''"
_MATHS = {
    "−": "-",
    "±": r"\pm",
    "×": r"\times",
    "·": r"\cdot",
    "≈": r"\approx",
    "≤": r"\leq",
    "≥": r"\geq",
    "≠": r"\neq",
    "→": r"\rightarrow",
    "←": r"\leftarrow",
    "↔": r"\leftrightarrow",
    "∞": r"\infty",
    "√": r"\surd",
    "∂": r"\partial",
    "∑": r"\sum",
    "∇": r"\nabla",
    "∝": r"\propto",
    "∈": r"\in",
    "∘": r"\circ",
    "⊗": r"\otimes",
    "∼": r"\sim",
    "‖": r"\Vert",
    "′": "'",
    "″": "''",
    "✓": r"\checkmark",
    "✗": r"\times",
    "⚠": r"\triangle",
    "°": r"^\circ",
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¬": r"\neg",
    "∧": r"\wedge",
    "∨": r"\vee",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "ŷ": r"\hat{y}",
    "ϕ": r"\phi",
    "ϵ": r"\epsilon",
    "ℓ": r"\ell",
    "ᵀ": r"^\top",
    "⁻": "^-",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_MATHS |= {
    unicodedata.lookup(
        f"GREEK {'SMALL' if name.islower() else 'CAPITAL'} LETTER {name.lower().replace('lambda', 'lamda')}"
    ): f"\\{name}"
    for name in _GREEK.split()
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}
_TOKENS = re.compile(
    r"_(?P<subscript>Δ|ICL|ZSL|FT|TF|GD|LCGD)(?![A-Za-z0-9])|(?<=\d)e−(?P<exponent>\d+)|-(?=-)|.", re.DOTALL
)
"""`u_ICL` and `SimAM_Δ` are written with a subscript; `1.2e−9` with a power of ten; two hyphens are no dash."""


def escaped(text: str) -> str:
    """Text as LaTeX prints it, for pdflatex with no font but its own: ASCII alone comes out.

    A character that neither a macro nor letters and accents can write is named: `[U+4E2D]`.
    """
    pieces = []
    for token in _TOKENS.finditer(text):
        if subscript := token["subscript"]:
            pieces.append(r"$_{\Delta}$" if subscript == "Δ" else rf"$_{{\mathrm{{{subscript}}}}}$")
        elif exponent := token["exponent"]:
            pieces.append(rf"$\times10^{{-{exponent}}}$")
        elif token[0] == "-" and text[token.end() : token.end() + 1] == "-":
            pieces.append("-{}")
        else:
            pieces.append(_character(token[0]))
    return "".join(pieces)


def _character(character: str) -> str:
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    if character.isascii():
        return character
    base, *accents = unicodedata.normalize("NFD", character)
    if base.isascii() and base.isalpha() and accents and all(accent in _ACCENTS for accent in accents):
        for accent in accents:
            base = f"\\{_ACCENTS[accent]}{{{base}}}"
        return base
    plain = unicodedata.normalize("NFKC", character)
    if plain != character:
        decomposed = unicodedata.decomposition(character)
        raised = "^" if "<super>" in decomposed else "_" if "<sub>" in decomposed else ""
        return f"${raised}{{{plain}}}$" if raised and plain.isalnum() and plain.isascii() else escaped(plain)
    return f"[U+{ord(character):04X}]"


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
            height = max(
                1 + len(cell.under) + len(cell.text) // 60 for cell in (*row.entries, Entry(row.name, "", row.under))
            )
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
    specification = "".join(_column(width, place) for place, width in enumerate(columns))
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
    """The characters of each column."""
    rows = [row for group in table.groups for row in group.rows]
    names = [max(len(row.name) + len(row.plain), *map(len, row.under), 0) for row in rows]
    head = [max(len(head.text), len(head.under)) for head in table.heads]
    widths = [max([head[0], *names])]
    for place in range(len(table.heads) - 1):
        cells = [row.entries[place] for row in rows]
        content = [
            max([len(cell.text) + (len(cell.std) + 3) * bool(cell.std), *map(len, cell.under)]) for cell in cells
        ]
        widths.append(max([head[place + 1] if head[place + 1] <= _WORDS else 0, *content]))
    return widths


def _column(width: int, place: int) -> str:
    """`r`, or a paragraph whose width follows from its text where it has to wrap."""
    if width > _WORDS:
        share = min(0.34, max(0.16, 0.0048 * width))
        return rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\textwidth}}"
    return "r" if place else "l"


def _heads(table: Table, columns: Sequence[int]) -> Iterator[str]:
    cells = []
    for place, (head, width) in enumerate(zip(table.heads, columns, strict=True)):
        under = [rf"\scriptsize {escaped(head.under)}"] if head.under else []
        cells.append(_stack([escaped(head.text), *under], "r" if place and width <= _WORDS else "l"))
    yield " & ".join(cells) + r" \\"


def _rows(table: PaperTable, groups: Sequence[Group], start: int, columns: Sequence[int]) -> Iterator[str]:
    number = start
    for place, group in enumerate(groups):
        if place:
            yield r"\addlinespace"
        if group.title:
            yield rf"\multicolumn{{{len(columns)}}}{{@{{}}p{{0.9\textwidth}}}}{{\itshape {escaped(group.title)}}} \\"
        for row in group.rows:
            name = " ".join(filter(None, (row.name, row.plain and f"({row.plain})")))
            cells = [Entry(name, under=row.under), *row.entries]
            yield (
                " & ".join(
                    _cell(cell, width, column, (number, column) in table.best, table.marks.get((number, column), ""))
                    for column, (cell, width) in enumerate(zip(cells, columns, strict=True))
                )
                + r" \\"
            )
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
