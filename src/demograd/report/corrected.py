"""Scores over the queries that are wrong in ZSL and right in ICL and FT (Dai 2023): few, and never mixed with all."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.cell import Cell
from demograd.report.scores import Scores
from demograd.report.section import Entry, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, row_words, world_labels

SHOWN = ("sim_aou", "sim_aou_norm", "sim_am", "sim_am_delta")
_LEAD = (
    "Only the queries that are wrong in ZSL and right in both ICL and FT: those on which learning shows. Which they "
    "are depends on the demonstrations and on the method, so rows are over different queries."
)


def corrected_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A table of its own."""
    variants = scores.tuned("corrected")
    if not variants:
        return None
    worlds = world_labels(variants)
    names = [name for name in SHOWN if any(each in scores.of(name, "FT") for each in variants)]
    lines = []
    for each in variants:
        cells = {name: scores.get(each, name, "FT") for name in names}
        under = row_words(each, [other for other in variants if other.method == each.method])
        entries = (_queries(results, each, cells), *map(_score, cells.values()))
        lines.append((worlds[each], Row(each.method or "", entries, each.weights, under)))
    heads = (Head("method, weights"), Head("queries", "over all sets"), *(Head(METRICS[name].title) for name in names))
    return Section("corrected", "Corrected queries only", _LEAD, (Table(heads, grouped(lines)),))


def _score(cell: Cell) -> Entry:
    return Entry("no query", tone="absent") if _is_empty(cell) else entry(cell)


def _is_empty(cell: Cell) -> bool:
    return cell.status == "nothing selected"


def _queries(results: pd.DataFrame, each: Variant, cells: dict[str, Cell]) -> Entry:
    """How many were selected, from the number of values that a score has per layer."""
    for name, cell in cells.items():
        if METRICS[name].per != "layer":
            continue
        if _is_empty(cell):
            return Entry("none", under=("no query was wrong in ZSL and right in ICL and FT",), tone="absent")
        of = results[(results["metric"] == name) & (results["model"] == each.model) & results["layer"].notna()]
        if layers := of["layer"].nunique():
            return Entry(f"{(cell.n + cell.n_missing) // layers:,}", under=(f"in {cell.n_seeds} sets",))
    return Entry("–", tone="absent")
