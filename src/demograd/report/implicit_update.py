"""The update that linear attention would make of the demonstrations, beside FT's, and whether that form is valid."""

from dataclasses import replace

import pandas as pd

from demograd.report.drawing import WIDTH, keys
from demograd.report.lines import Axis, line_chart
from demograd.report.points import of_variants, points, short_labels
from demograd.report.scores import Scores
from demograd.report.section import Entry, Figure, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, row_words, world_labels

VALIDITY = "implicit_update_validity"
SHOWN = {"implicit_update": "cos(ΔW_ICL, ΔW_FT)", "implicit_update_weighted": "softmax-weighted", VALIDITY: "validity"}
VALID_FROM = 0.5
_LEAD = (
    "Dai 2023 derives from linear attention that demonstrations add ΔW_ICL = Σ v kᵀ to a head. Validity is the cosine "
    "of what this update would add to a head’s output with what the demonstrations truly add; below 0.5 the derivation "
    "does not describe this model, whatever the other numbers."
)


def implicit_update_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A table, and validity by layer."""
    names = [name for name in SHOWN if scores.of(name, "FT")]
    variants = [each for each in scores.tuned() if any(each in scores.of(name, "FT") for name in names)]
    if not variants:
        return None
    worlds = world_labels(variants)
    lines = [
        (
            worlds[each],
            Row(
                each.method or "",
                tuple(_entry(scores, each, name) for name in names),
                each.weights,
                row_words(each, [other for other in variants if other.method == each.method]),
            ),
        )
        for each in variants
    ]
    table = Table((Head("method, weights"), *(Head(SHOWN[name]) for name in names)), grouped(lines))
    figures = []
    for world in dict.fromkeys(worlds.values()):
        labels = short_labels([each for each in variants if worlds[each] == world])
        legend = keys(list(labels.values()))
        charts = []
        for name in names:
            data = of_variants(points(results, name), labels).dropna(subset=["layer"])
            data = data.assign(x=data["layer"].astype(float), y=data["value"])
            charts.append(
                line_chart(data, SHOWN[name], Axis("layer", whole=True), Axis("cosine", zero=True), legend, width=WIDTH)
            )
        if any(charts):
            title = world if len(set(worlds.values())) > 1 else ""
            figures.append(Figure(tuple(chart for chart in charts if chart), "", title, legend))
    return Section("implicit-update", "The implicit update", _LEAD, (table, *figures))


def _entry(scores: Scores, each: Variant, name: str) -> Entry:
    cell = scores.get(each, name, "FT")
    shown = entry(cell)
    if name == VALIDITY and cell.value is not None and cell.value < VALID_FROM:
        return replace(shown, under=(*shown.under, "linear dual form not valid here"), tone="flagged")
    return shown
