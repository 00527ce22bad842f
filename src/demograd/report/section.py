"""What a page is made of: sections of tables and figures. Their files say what is in them, the template how they look.

All texts are plain: the template escapes them. The one exception is a chart, which `svg.py` has checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from demograd.report.cell import Cell

Tone = Literal["", "absent", "flagged", "supported", "contradicted", "undecided", "reference"]
"""How an entry looks, besides what it says: no meaning is in colour alone."""


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str
    std: str = ""
    """The deviation that goes with it."""
    under: tuple[str, ...] = ()
    """Smaller lines beneath."""
    tone: Tone = ""


NOTHING = Entry("–", tone="absent")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    entries: tuple[Entry, ...]
    plain: str = ""
    """Stands behind the name."""
    under: tuple[str, ...] = ()
    tone: Tone = ""


@dataclass(frozen=True)
class Head:
    """The heading of a column."""

    text: str
    under: str = ""
    words: bool = False
    """Whether the column holds words, which may wrap, and not numbers."""


@dataclass(frozen=True)
class Group:
    """Rows that belong together, such as those of one task."""

    title: str
    """Empty where there is one group only."""
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Rows in groups under one heading."""

    heads: tuple[Head, ...]
    """The first is that of the rows' names."""
    groups: tuple[Group, ...]
    title: str = ""
    note: str = ""
    folded: str = ""
    """What a reader sees of a table that has to be opened; empty: it is open."""


@dataclass(frozen=True)
class Key:
    """One line of a legend."""

    label: str
    colour: str
    dash: str = ""
    width: float = 3


@dataclass(frozen=True)
class Chart:
    """One drawing, and its heading."""

    title: str
    svg: str


@dataclass(frozen=True)
class Figure:
    """Charts that share a legend and a caption."""

    charts: tuple[Chart, ...]
    caption: str
    title: str = ""
    legend: tuple[Key, ...] = ()
    small: bool = False
    """Three beside each other, not two."""


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    name: str
    """Its place in the page's address."""
    title: str
    lead: str
    parts: tuple[Table | Figure, ...]
    notes: tuple[str, ...] = ()


def entry(cell: Cell) -> Entry:
    """A number as a table shows it."""
    value, _, std = cell.text.partition(" ± ")
    under = [cell.bounds, "conditional" * cell.marked, cell.missing]
    tone: Tone = "absent" if cell.value is None else "flagged" if cell.is_mostly_missing else ""
    return Entry(value, std, tuple(filter(None, under)), tone)


def grouped(rows: Sequence[tuple[str, Row]]) -> tuple[Group, ...]:
    """Rows by the title of their group; the title of a single group is left out."""
    groups: dict[str, list[Row]] = {}
    for title, row in rows:
        groups.setdefault(title, []).append(row)
    every = tuple(Group(title, tuple(of)) for title, of in groups.items())
    return every if len(every) > 1 else tuple(replace(group, title="") for group in every)
