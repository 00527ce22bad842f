"""How much the output depends on the order of the demonstrations, in ICL and in FT (Shen 2023, Figure 4)."""

import altair as alt
import pandas as pd

from demograd.report.cell import Cell
from demograd.report.drawing import COLOURS, WIDTH, drawn
from demograd.report.intervals import said_of_cells
from demograd.report.points import short_labels
from demograd.report.scores import Scores
from demograd.report.section import Chart, Figure, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, world_labels

METRIC = "order_sensitivity"
FEW = 10
"""Numbers that are shown at once beneath the bars."""
_LEAD = (
    "Standard deviation of the next-token probabilities over orders of the same demonstrations, mean over vocabulary "
    "and queries. Equal algorithms have equal order sensitivity (Shen 2023, Theorem 1); full-batch GD has none, up to "
    "rounding."
)


def order_sensitivity_section(scores: Scores) -> Section | None:
    """Bars with intervals, and the numbers."""
    found = {**scores.of(METRIC, "ICL"), **scores.of(METRIC, "FT")}
    if not found:
        return None
    worlds = world_labels(found)
    lines, charts = [], []
    for world in dict.fromkeys(worlds.values()):
        labels = short_labels([each for each in found if worlds[each] == world])
        lines += [(world, Row(label, (entry(found[each]),))) for each, label in labels.items()]
        title = world if len(set(worlds.values())) > 1 else "Order sensitivity"
        charts.append(_bars({label: (each, found[each]) for each, label in labels.items()}, title))
    folded = "All numbers" if len(lines) > FEW else ""
    table = Table((Head("setting"), Head("order sensitivity")), grouped(lines), folded=folded)
    figure = Figure(tuple(chart for chart in charts if chart), said_of_cells("Thin lines", found.values()))
    return Section("order-sensitivity", "Does the order matter?", _LEAD, (figure, table))


def _bars(found: dict[str, tuple[Variant, Cell]], title: str) -> Chart | None:
    data = pd.DataFrame(
        {"label": label, "value": cell.value, "low": cell.low, "high": cell.high, "is_icl": each.method is None}
        for label, (each, cell) in found.items()
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
    return drawn(chart.properties(width=WIDTH - 110, height=28 * len(data)), title, f"Order sensitivity. {described}")
