"""The update that linear attention would make of the demonstrations, beside FT's, and whether that form is valid."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from demograd.report.captions import interval_note_of_points
from demograd.report.charts.drawing import WIDTH, keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import points_by_layer
from demograd.report.section import Entry, Figure, Head, Section, Table, entry, figure, section
from demograd.report.subject import Variant, by_world, short_labels, variant_rows
from demograd.statistics.number import Number
from demograd.words import Setting

VALIDITY = "implicit_update_validity"
SHOWN = {"implicit_update": "cos(ΔW_ICL, ΔW_FT)", "implicit_update_weighted": "softmax-weighted", VALIDITY: "validity"}
VALID_FROM = 0.5
_LEAD = (
    "Dai 2023 derives from linear attention that demonstrations add ΔW_ICL = Σ v kᵀ to a head. Validity is the cosine "
    "of what this update would add to a head’s output with what the demonstrations truly add; below 0.5 the derivation "
    "does not describe this model, whatever the other numbers."
)


@section("The implicit update", order=200, brief="Implicit update")
def implicit_update_section(run: ReportedRun) -> Section | None:
    """A table of similarities and validity, and charts of them by layer."""
    measured = {name: numbers for name in SHOWN if (numbers := run.scores.by_variant(name, Setting.FT))}
    variants = [variant for variant in run.scores.tuned() if any(variant in numbers for numbers in measured.values())]
    if not variants:
        return None

    def score(variant: Variant, name: str) -> Entry:
        number = run.scores.get(variant, name, Setting.FT)
        shown = entry(number)
        if name == VALIDITY and number.value is not None and number.value < VALID_FROM:
            return replace(shown, under=(*shown.under, "linear dual form not valid here"), tone="flagged")
        return shown

    rows = variant_rows(variants, lambda variant: (score(variant, name) for name in measured))
    table = Table((Head("method, weights"), *(Head(SHOWN[name]) for name in measured)), rows)
    layer, cosine = Axis("layer", whole=True), Axis("cosine", zero=True)
    parts: list[Table | Figure] = []
    for world, members in by_world(variants).items():
        labels = short_labels(members)
        legend = keys(list(labels.values()))
        data = {SHOWN[name]: points_by_layer(run.results, name, labels) for name in measured}
        charts = [line_chart(points, title, layer, cosine, legend, width=WIDTH) for title, points in data.items()]
        note = interval_note_of_points("Upright lines", pd.concat(data.values()))
        parts += figure(charts, note, world, legend)
    lead = " ".join(filter(None, (_sentence(measured.get(VALIDITY, {})), _LEAD)))
    return Section((*parts, table), lead)


def _sentence(validity: Mapping[Variant, Number]) -> str:
    """How many methods and weights the derivation describes."""
    numbers = [number for number in validity.values() if number.value is not None]
    if not numbers:
        return ""
    valid = sum((number.value or 0.0) >= VALID_FROM for number in numbers)
    lowest, highest = (pick(numbers, key=lambda number: number.value or 0.0) for pick in (min, max))
    spread = lowest.with_bounds if len(numbers) == 1 else f"{lowest.with_bounds} to {highest.with_bounds}"
    return f"Validity is {spread}: the derivation describes {valid or 'none'} of {len(numbers)} (from {VALID_FROM} on)."
