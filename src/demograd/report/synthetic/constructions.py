"""The theorems as matrices: how far each construction is from what its theorem says."""

import pandas as pd

from demograd.report.cell import Cell, scientific
from demograd.report.section import Entry, Group, Head, Row, Section, Table
from demograd.report.synthetic.numbers import CONSTRUCTION, cells

ROUNDING = 1e-10
"""Above what float64 leaves of exact arithmetic in matrices this small, and far below any mistake in a formula."""
_LEAD = (
    "Weights that theory writes down, run on random instances in float64: the largest difference between what they do "
    "and what their theorem says. Below 1e−10 is rounding."
)


def constructions_section(rows: pd.DataFrame) -> Section | None:
    """A row per construction."""
    found = cells(rows, "construction_error", CONSTRUCTION)
    if not found:
        return None
    heads = (Head("construction"), Head("random instances"), Head("largest error"), Head("result", words=True))
    lines = tuple(
        Row(of.reference, (Entry(f"{error.n:,}"), _error(error), _result(error))) for of, error in found.items()
    )
    return Section(
        "constructions", "Do the constructions do what they say?", _LEAD, (Table(heads, (Group("", lines),)),)
    )


def _error(error: Cell) -> Entry:
    return Entry(error.text, tone="absent") if error.value is None else Entry(scientific(error.value))


def _result(error: Cell) -> Entry:
    if error.value is None:
        return Entry("not checked", tone="undecided")
    if error.value < ROUNDING:
        return Entry("✓ exact up to rounding", tone="supported")
    return Entry("✗ not exact", under=(f"the error is not below {scientific(ROUNDING)}",), tone="contradicted")
