"""The theorems as matrices: how far each construction is from what its theorem says."""

from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.networks import by_subject
from demograd.report.run import ReportedRun
from demograd.report.section import Entry, Group, Head, Section, Table, TableRow, figure, section
from demograd.statistics.number import Number, scientific
from demograd.words import Setting

ROUNDING = 1e-10
"""Above what float64 leaves of exact arithmetic in matrices this small, and far below any mistake in a formula."""
_LEAD = (
    "Weights that theory writes down, run on random instances in float64: the largest difference between what they do "
    "and what their theorem says. Below 1e−10 is rounding."
)


@section("Do the constructions do what they say?", order=10, brief="Constructions")
def constructions_section(run: ReportedRun) -> Section | None:
    """A row per construction."""
    errors = by_subject(run.networks_at_context, "construction_error", Setting.CONSTRUCTION)
    rows = tuple(
        TableRow(subject.reference, (Entry(f"{error.n:,}"), _error(error), _result(error)))
        for subject, error in errors.items()
    )
    heads = (Head("construction"), Head("random instances"), Head("largest error"), Head("result", words=True))
    if not rows:
        return None
    dots = [Dot(subject.reference, error) for subject, error in errors.items()]
    chart = dot_chart(dots, "Largest error", "largest difference from the theorem", scale="log", level=ROUNDING)
    exact = sum(error.value is not None and error.value < ROUNDING for error in errors.values())
    lead = f"{exact} of {len(errors)} constructions do what they say, up to rounding. {_LEAD}"
    caption = f"Line: {scientific(ROUNDING, 10)}, below which is rounding. An error of zero has no place here."
    return Section((*figure([chart], caption), Table(heads, (Group("", rows),))), lead)


def _error(error: Number) -> Entry:
    return Entry(error.text, tone="absent") if error.value is None else Entry(scientific(error.value), number=error)


def _result(error: Number) -> Entry:
    if error.value is None:
        return Entry("not checked", tone="undecided")
    if error.value < ROUNDING:
        return Entry("✓ exact up to rounding", tone="supported")
    return Entry("✗ not exact", under=(f"the error is not below {scientific(ROUNDING)}",), tone="contradicted")
