"""Scores over the queries that are wrong in ZSL and right in ICL and FT (Dai 2023): few, and never mixed with all."""

from dataclasses import replace

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import Scores
from demograd.report.section import Entry, Figure, Head, Section, Table, entry, figure, section
from demograd.report.subject import Variant, by_world, short_labels, variant_rows
from demograd.statistics.number import Number
from demograd.words import Setting

SHOWN = ("sim_aou", "sim_aou_norm", "sim_am", "sim_am_delta")
_LEAD = (
    "Only the queries that are wrong in ZSL and right in both ICL and FT: those on which learning shows. Which they "
    "are depends on the demonstrations and on the method, so rows are over different queries."
)


@section("Corrected queries only", order=240, brief="Corrected queries")
def corrected_section(run: ReportedRun) -> Section | None:
    """A table of similarities over corrected queries, and of their counts."""
    variants = run.scores.tuned("corrected")
    if not variants:
        return None
    names = [name for name in SHOWN if any(variant in run.scores.by_variant(name, Setting.FT) for variant in variants)]

    def entries(variant: Variant) -> tuple[Entry, ...]:
        numbers = {name: run.scores.get(variant, name, Setting.FT) for name in names}
        return (_queries(run.results, variant, numbers), *map(_score, numbers.values()))

    heads = (Head("method, weights"), Head("queries", "over all sets"), *(Head(METRICS[name].title) for name in names))
    pictures = [
        part for world, members in by_world(variants).items() for part in _figure(run.scores, members, names, world)
    ]
    return Section(
        (*pictures, Table(heads, variant_rows(variants, entries))),
        f"{_sentence(run.scores, variants[0], names)} {_LEAD}".strip(),
    )


def _sentence(scores: Scores, variant: Variant, names: list[str]) -> str:
    """The first similarity of the first method, over corrected queries and over all."""
    if not names:
        return ""
    selections = (variant, replace(variant, selection="all"))
    corrected, of_all = (scores.get(owner, names[0], Setting.FT).with_bounds for owner in selections)
    title = METRICS[names[0]].title
    return f"{title} of {variant.method} is {corrected} over corrected queries, and {of_all} over all."


def _figure(scores: Scores, variants: list[Variant], names: list[str], world: str) -> tuple[Figure, ...]:
    """A chart per similarity: over corrected queries beside over all."""
    charts, numbers = [], []
    for name in names:
        dots = [
            Dot(label, scores.get(replace(variant, selection=selection), name, Setting.FT), series)
            for variant, label in short_labels(variants).items()
            for selection, series in (("corrected", "corrected queries"), ("all", "all queries"))
        ]
        numbers += [dot.number for dot in dots]
        charts.append(dot_chart(dots, METRICS[name].title, "cosine", zero=True))
    return figure(charts, interval_note("Lines", numbers), world)


def _score(number: Number) -> Entry:
    return Entry("no query", tone="absent") if _is_empty(number) else entry(number)


def _is_empty(number: Number) -> bool:
    return number.status == "nothing selected"


def _queries(results: pd.DataFrame, variant: Variant, numbers: dict[str, Number]) -> Entry:
    """The number of selected queries, from the number of values that a score has per layer."""
    for name, number in numbers.items():
        if METRICS[name].per != "layer":
            continue
        if _is_empty(number):
            return Entry("none", under=("no query was wrong in ZSL and right in ICL and FT",), tone="absent")
        rows = results[(results["metric"] == name) & (results["model"] == variant.model) & results["layer"].notna()]
        if layers := rows["layer"].nunique():
            return Entry(f"{(number.n + number.n_missing) // layers:,}", under=(f"in {number.n_seeds} sets",))
    return Entry("–", tone="absent")
