"""α: how alike LCGD's and GD's changes of attention are (Deutch 2024, §B.1 and Figure 2), by task and by layer."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.drawing import WIDTH, keys
from demograd.report.intervals import said_of_points
from demograd.report.lines import Axis, line_chart
from demograd.report.points import of_variants, points, short_labels
from demograd.report.scores import Scores
from demograd.report.section import Figure, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, world_labels

_LEAD = (
    "α is the cosine between LCGD’s change of the attention logits and GD’s. Near one, following either is following "
    "both; near zero, the two learn in unrelated directions, and at most one of them can be what ICL does."
)


def alpha_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A table, and a line per task and method over the layers."""
    overall = scores.of("alpha", "FT")
    if not overall:
        return None
    labels = _labels(list(overall))
    rows = [("", Row(labels[each], (entry(cell),))) for each, cell in overall.items()]
    table = Table((Head("task"), Head(METRICS["alpha"].title)), grouped(rows))
    by_layer = of_variants(points(results, "alpha"), labels).dropna(subset=["layer"])
    legend = keys(list(labels.values()))
    chart = line_chart(
        by_layer.assign(x=by_layer["layer"].astype(float), y=by_layer["value"]),
        "α by layer",
        Axis("layer", whole=True),
        Axis("α", zero=True),
        legend,
        width=WIDTH,
    )
    figure = [Figure((chart,), said_of_points("Upright lines", by_layer), legend=legend)] if chart else []
    return Section("alpha", "Do GD and LCGD agree?", _LEAD, (table, *figure))


def _labels(variants: list[Variant]) -> dict[Variant, str]:
    """The task, and method or rate where there are several."""
    worlds, short = world_labels(variants), short_labels(variants)
    several = len(set(short.values())) > 1
    return {each: f"{worlds[each]}{f', {short[each]}' * several}" for each in variants}
