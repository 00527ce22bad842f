"""What a page is made of: registered sections of tables and figures. The template says how they look.

All texts are plain: the template escapes them. The one exception is a chart, which `charts/drawing.py` has checked.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal

from demograd.errors import UserError
from demograd.extensions import load_entry_points
from demograd.statistics.number import Number, estimate, percentage

if TYPE_CHECKING:
    from demograd.report.run import ReportedRun

Tone = Literal["", "absent", "flagged", "supported", "contradicted", "not-specific", "undecided", "reference"]
"""How an entry looks, besides what it says: no meaning is in colour alone."""


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str
    std: str = ""
    """Its standard deviation."""
    under: tuple[str, ...] = ()
    """Smaller lines beneath."""
    tone: Tone = ""
    number: Number | None = None
    """What the text shows, unrounded, for files that hold numbers; of a percentage, the share."""


NOTHING = Entry("–", tone="absent")


@dataclass(frozen=True)
class TableRow:
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
    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class Table:
    """Rows in groups under one heading."""

    heads: tuple[Head, ...]
    """The first is that of the rows' names."""
    groups: tuple[Group, ...]
    title: str = ""
    note: str = ""
    folded: str = ""
    """The summary of a table that has to be opened; empty: it is open."""


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
    drawing: Any
    """The chart of altair, styled: `charts.drawing` makes it, a notebook shows it, and a paper has it as PDF."""
    description: str
    """What a screen reader says of it."""

    @cached_property
    def svg(self) -> str:
        """The drawing as a page shows it: static, titled, and without anything that could run."""
        from demograd.report.charts.drawing import static_svg

        return static_svg(self.drawing.to_dict(validate=False), self.title, self.description)


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
class Interactive:
    """A part with a template and a script of the package's own, which the page allows by its hash, and no other."""

    template: str
    """In `templates/`; it has the part as `part`, and `prefix`, with which its ids begin."""
    script: str
    """In `templates/`; it stands once at the end of the page, and may set styles, which no markup may."""
    data: Any
    """What the template shows, or hands to the script (`<script type="application/json">` with the filter `tojson`)."""
    title: str = ""


@dataclass(frozen=True)
class Section:
    """What one part of the page says of one run."""

    parts: tuple[Table | Figure | Interactive, ...]
    lead: str = ""
    notes: tuple[str, ...] = ()
    title: str = ""
    """In place of the one that the section was registered with."""


MakeSection = Callable[["ReportedRun"], Section | None]
"""What a run has to say under a title; None where it has nothing to say."""


@dataclass(frozen=True)
class RegisteredSection:
    """A section that every page asks for."""

    name: str
    """Its place in the page's address."""
    title: str
    order: int
    make: MakeSection
    brief: str = ""
    """What the contents bar calls it, in place of its title."""


SECTIONS: dict[tuple[str, str], RegisteredSection] = {}
"""By module and function, so that a notebook's cell that is run again replaces its section."""
GROUP = "demograd.sections"
"""The entry points by which a package brings sections of its own."""


def section(title: str, order: int = 900, name: str = "", brief: str = "") -> Callable[[MakeSection], MakeSection]:
    """Register a function `Run → Section | None` as a section of every page.

    Args:
        title: the heading.
        order: pages sort by it. Below zero stands beside the finding, before the notes; the package's own end at 1000.
        name: the section's place in the page's address; by default the function's name, without `_section`.
        brief: what the contents bar calls it; by default the title.

    Raises:
        UserError: another function's section has this name, by which pages, charts and lists tell them apart.
    """

    def register(make: MakeSection) -> MakeSection:
        address = name or make.__name__.removesuffix("_section").replace("_", "-")
        key = make.__module__, getattr(make, "__qualname__", address)
        for other, registered in SECTIONS.items():
            if registered.name == address and other != key:
                raise UserError(
                    f"Two sections are called {address}: “{registered.title}” and “{title}”",
                    "a name for each",
                    "Rename yours, or give it a name in @section(…, name=…)",
                )
        SECTIONS[key] = RegisteredSection(address, title, order, make, brief)
        return make

    return register


def registered_sections() -> list[RegisteredSection]:
    """All sections in the order of the page: the package's own, those of installed packages, and those of a script.

    Raises:
        UserError: an installed package's entry point cannot be loaded.
    """
    package = import_module("demograd.report.sections")
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    load_entry_points(GROUP)
    return sorted(SECTIONS.values(), key=lambda registered: registered.order)


def entry(number: Number) -> Entry:
    """A number as a table shows it."""
    value, _, std = number.text.partition(" ± ")
    under = [number.bounds, "conditional" * number.marked, number.missing]
    tone: Tone = "absent" if number.value is None else "flagged" if number.is_mostly_missing else ""
    return Entry(value, std, tuple(filter(None, under)), tone, number)


def percent(share: float | None, low: float | None = None, high: float | None = None) -> Entry:
    """A share as a table shows it: `8.8 %`, its interval beneath."""
    if share is None:
        return NOTHING
    number = percentage(share, low, high)
    if number.value is None:
        return entry(number)
    return Entry(f"{number.text} %", under=tuple(filter(None, (number.bounds,))), number=estimate(share, low, high))


def grouped(rows: Iterable[tuple[str, TableRow]]) -> tuple[Group, ...]:
    """Rows by the title of their group; the title of a single group is left out."""
    groups: dict[str, list[TableRow]] = {}
    for title, row in rows:
        groups.setdefault(title, []).append(row)
    titled = tuple(Group(title, tuple(members)) for title, members in groups.items())
    return titled if len(titled) > 1 else tuple(replace(group, title="") for group in titled)


def figure(
    charts: Iterable[Chart | None], caption: str = "", title: str = "", legend: Sequence[Key] = (), small: bool = False
) -> tuple[Figure, ...]:
    """A figure of the charts that there was something to draw of; nothing where there was none."""
    drawings = tuple(filter(None, charts))
    return (Figure(drawings, caption, title, tuple(legend), small),) if drawings else ()
