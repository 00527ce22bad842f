"""The tables and figures of a run's page, each with a name for its file and a caption of its own."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from string import ascii_lowercase

from demograd.report.run import ReportedRun
from demograd.report.section import Entry, Figure, Table, TableRow, registered_sections

Position = tuple[int, int]
"""A cell of a table: its row, counted over all groups, and its column, where 0 is the row's name."""
LONGEST_NAME = 60
"""Characters of a file's name before its ending."""
_SPELT = str.maketrans({"Δ": "delta", "α": "alpha", "τ": "tau", "×": "x", "′": "-prime", "√": "root"})


@dataclass(frozen=True)
class PaperTable:
    """A table with what a paper says of it."""

    name: str
    caption: str
    table: Table
    notes: tuple[str, ...] = ()
    """Sentences that stand beneath."""
    best: frozenset[Position] = frozenset()
    """The cells in bold."""
    marks: Mapping[Position, str] = field(default_factory=dict)
    """Raised behind a cell's text; the notes say what they mean."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure with what a paper says of it."""

    name: str
    caption: str
    figure: Figure
    chart_names: tuple[str, ...]
    """The name of each of its charts."""


@dataclass(frozen=True)
class Exhibits:
    """What the page of a run shows, in its order."""

    tables: tuple[PaperTable, ...]
    figures: tuple[PaperFigure, ...]


def exhibits(run: ReportedRun) -> Exhibits:
    """The tables and figures of all sections of the page of a run."""
    names = Names()
    tables: list[PaperTable] = []
    figures: list[PaperFigure] = []
    for registered in registered_sections():
        try:
            section = registered.make(run)
        except Exception as error:
            error.add_note(f"in the section {registered.name}")
            raise
        if section is None or not section.parts:
            continue
        title = section.title or registered.title
        notes, reading = section.notes, section.lead
        if isinstance(section.parts[0], Figure):  # the first note is on the first part
            reading, notes = " ".join((section.lead, *section.notes[:1])), section.notes[1:]
        for part in section.parts:
            if isinstance(part, Table):
                tables.append(_table(names, registered.name, title, part, notes))
                notes = ()  # beneath the first table of the section
            elif isinstance(part, Figure):  # what is interactive is of the page alone
                figures.append(_figure(names, registered.name, title, part, reading.strip()))
    return Exhibits(tuple(tables), tuple(figures))


def _table(names: "Names", section: str, title: str, table: Table, notes: tuple[str, ...]) -> PaperTable:
    about = table.title or table.folded
    name = names.unique(section, about)
    return PaperTable(name, sentence(title, about), table, tuple(filter(None, (table.note, *notes))))


def _figure(names: "Names", section: str, title: str, figure: Figure, reading: str) -> PaperFigure:
    name = names.unique(section, figure.title)
    only = figure.charts[0].title if len(figure.charts) == 1 else ""
    about = ", ".join(dict.fromkeys(filter(None, (figure.title, only))))
    caption = " ".join(filter(None, (sentence(title, about), figure.caption or reading)))
    charts = tuple(names.unique(name, chart.title) for chart in figure.charts)
    return PaperFigure(name, caption, figure, charts)


def lettered(figure: Figure) -> list[str]:
    """`(a) SimAOU`, `(b) SimAM_Δ`, … of the charts of a figure."""
    letters = (*ascii_lowercase, *("".join(pair) for pair in product(ascii_lowercase, repeat=2)))
    return [f"({letter}) {chart.title}" for letter, chart in zip(letters, figure.charts, strict=False)]


def row_name(row: TableRow) -> Entry:
    """The first cell of a row: its name, and what stands beside and beneath it."""
    return Entry(" ".join(filter(None, (row.name, row.plain and f"({row.plain})"))), under=row.under)


def sentence(*clauses: str) -> str:
    """`Matching: SimAOU.`"""
    text = ": ".join(filter(None, clauses)).replace("?: ", "? ")
    return text if text.endswith((".", "?", "!")) else f"{text}."


def with_line_breaks_shown(text: str) -> str:
    """`Review: {text}↵Sentiment:`: a prompt is another one without its line breaks."""
    return re.sub("\r\n|\r|\n", "↵", text)


class Names:
    """Names of files that do not repeat."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def unique(self, *words: str) -> str:
        """These words in lower-case letters, digits and hyphens; with a number where the name is taken."""
        spelt = [slug(word) for word in words]
        name = "-".join(filter(None, spelt))[:LONGEST_NAME].strip("-") or "untitled"
        numbered = (f"{name}-{number}" for number in range(2, len(self._names) + 3))
        unique = name if name not in self._names else next(other for other in numbered if other not in self._names)
        self._names.add(unique)
        return unique


def slug(text: str) -> str:
    """`SimAM_Δ, mean removed` → `simam-delta-mean-removed`: a name for any file system and for LaTeX."""
    ascii_ = unicodedata.normalize("NFKD", text.translate(_SPELT)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_.lower()).strip("-")
