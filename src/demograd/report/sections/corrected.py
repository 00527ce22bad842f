"""Scores over the queries that are wrong in ZSL and right in ICL and FT (Dai 2023): few, and never mixed with all."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.run import Run
from demograd.report.section import Entry, Head, Section, Table, entry, section
from demograd.report.subject import Variant, variant_rows
from demograd.statistics.cell import Cell

SHOWN = ("sim_aou", "sim_aou_norm", "sim_am", "sim_am_delta")
_LEAD = (
    "Only the queries that are wrong in ZSL and right in both ICL and FT: those on which learning shows. Which they "
    "are depends on the demonstrations and on the method, so rows are over different queries."
)


@section("Corrected queries only", order=240)
def corrected(run: Run) -> Section | None:
    """A table of similarities over corrected queries, and of their counts."""
    variants = run.scores.tuned("corrected")
    if not variants:
        return None
    names = [name for name in SHOWN if any(variant in run.scores.by_variant(name, "FT") for variant in variants)]

    def entries(variant: Variant) -> tuple[Entry, ...]:
        cells = {name: run.scores.get(variant, name, "FT") for name in names}
        return (_queries(run.results, variant, cells), *map(_score, cells.values()))

    heads = (Head("method, weights"), Head("queries", "over all sets"), *(Head(METRICS[name].title) for name in names))
    return Section((Table(heads, variant_rows(variants, entries)),), _LEAD)


def _score(cell: Cell) -> Entry:
    return Entry("no query", tone="absent") if _is_empty(cell) else entry(cell)


def _is_empty(cell: Cell) -> bool:
    return cell.status == "nothing selected"


def _queries(results: pd.DataFrame, variant: Variant, cells: dict[str, Cell]) -> Entry:
    """The number of selected queries, from the number of values that a score has per layer."""
    for name, cell in cells.items():
        if METRICS[name].per != "layer":
            continue
        if _is_empty(cell):
            return Entry("none", under=("no query was wrong in ZSL and right in ICL and FT",), tone="absent")
        rows = results[(results["metric"] == name) & (results["model"] == variant.model) & results["layer"].notna()]
        if layers := rows["layer"].nunique():
            return Entry(f"{(cell.n + cell.n_missing) // layers:,}", under=(f"in {cell.n_seeds} sets",))
    return Entry("–", tone="absent")
