"""The dependence of the output on the order of the demonstrations (Shen 2023, Figure 4): in ICL and FT, and of small
networks, constructions and references."""

from dataclasses import replace

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, WIDTH, draw
from demograd.report.networks import CONSTRUCTION, NETWORK, REFERENCE, cells
from demograd.report.numbers import interval_note
from demograd.report.run import Run
from demograd.report.section import Chart, Head, Row, Section, Table, Tone, entry, figure, grouped, section
from demograd.report.subject import Variant, by_world, short_labels, world_labels
from demograd.statistics.cell import Cell

METRIC = "order_sensitivity"
FEW = 10
"""Numbers that are shown at once beneath the bars."""
_LEAD = (
    "Standard deviation of the next-token probabilities over orders of the same demonstrations, mean over vocabulary "
    "and queries. Equal algorithms have equal order sensitivity (Shen 2023, Theorem 1); full-batch GD has none, up to "
    "rounding."
)


@section("Does the order matter?", order=180)
def order_sensitivity(run: Run) -> Section | None:
    """Order sensitivity of a language model: bars with intervals, and the numbers."""
    return None if run.is_synthetic else _of_language_model(run)


def _of_language_model(run: Run) -> Section | None:
    spreads = {**run.scores.by_variant(METRIC, "ICL"), **run.scores.by_variant(METRIC, "FT")}
    if not spreads:
        return None
    worlds = world_labels(spreads)
    lines, charts = [], []
    for title, variants in by_world(spreads).items():
        labels = short_labels(variants)
        lines += [(worlds[variant], Row(label, (entry(spreads[variant]),))) for variant, label in labels.items()]
        charts.append(
            _bars(
                {label: (variant, spreads[variant]) for variant, label in labels.items()}, title or "Order sensitivity"
            )
        )
    folded = "All numbers" if len(lines) > FEW else ""
    table = Table((Head("setting"), Head("order sensitivity")), grouped(lines), folded=folded)
    return Section((*figure(charts, interval_note("Thin lines", spreads.values())), table), _LEAD)


def _bars(spreads: dict[str, tuple[Variant, Cell]], title: str) -> Chart | None:
    data = pd.DataFrame(
        {"label": label, "value": cell.value, "low": cell.low, "high": cell.high, "is_icl": variant.method is None}
        for label, (variant, cell) in spreads.items()
        if cell.value is not None
    )
    if data.empty:
        return None
    base = alt.Chart(data).encode(y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(grid=False, labelLimit=150)))
    x = alt.X("value:Q", title="order sensitivity", axis=alt.Axis(format=".3~g", tickCount=4))
    bars = base.mark_bar(height={"band": 0.6}).encode(
        x=x, color=alt.condition("datum.is_icl", alt.value("#5b6770"), alt.value(COLOURS[0]))
    )
    rules = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="order sensitivity"), x2="high:Q")
    chart = alt.layer(bars, rules) if data["low"].notna().any() else alt.layer(bars)
    described = "; ".join(f"{row['label']}: {row['value']:.3g}" for row in data.to_dict("records"))
    return draw(chart.properties(width=WIDTH - 110, height=28 * len(data)), title, f"Order sensitivity. {described}")


RELATIVE = "order_sensitivity_relative"
_RELATIVE_LEAD = (
    "Standard deviation of the prediction over orders of the same examples, over the root mean square prediction. "
    "Attention without positions, and GD on all examples at once, do not know an order: what they have is rounding. A "
    "“causal” construction is the same layers under the mask that language models have, where each token sees itself "
    "and those before it: of two layers or more it depends on the order, without positions and without having been "
    "trained."
)
_UNITS = (
    "Of the language model it is the standard deviation of next-token probabilities, mean over a vocabulary most of "
    "which is never likely. The units differ, so only whether there is any sensitivity can be compared, not how much."
)
_KINDS = {NETWORK: "network", CONSTRUCTION: "construction", REFERENCE: "reference"}
_TONES: dict[str, Tone] = {NETWORK: "", CONSTRUCTION: "reference", REFERENCE: "reference"}


@section("Does the order matter?", order=225, name="order-sensitivity")
def relative_order_sensitivity(run: Run) -> Section | None:
    """Order sensitivity of a synthetic run: a row per learner; then the language model's, if the folder has one."""
    if not run.is_synthetic:
        return None
    spreads = {setting: cells(run.networks_at_context, RELATIVE, setting) for setting in _KINDS}
    lines = [
        (
            subject.world,
            Row(subject.network or subject.reference, (entry(cell),), _KINDS[setting], tone=_TONES[setting]),
        )
        for setting, by_subject in spreads.items()
        for subject, cell in by_subject.items()
        if setting != REFERENCE or subject not in spreads[CONSTRUCTION]  # its layers stand for the algorithm
    ]
    beside = _of_language_model(run)
    if not lines:
        return beside
    table = Table((Head("", "shaded: not trained"), Head("relative order sensitivity")), grouped(lines))
    if not beside:
        return Section((table,), _RELATIVE_LEAD)
    models = dict.fromkeys(variant.model for variant, metric, _ in run.scores.cells if metric == METRIC)
    first, *rest = beside.parts
    first = replace(first, title=f"Beside it, {', '.join(models)}")
    return Section((table, first, *rest), _RELATIVE_LEAD, (_UNITS,))
