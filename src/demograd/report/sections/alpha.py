"""α: how alike LCGD's and GD's changes of attention are (Deutch 2024, §B.1 and Figure 2), by task and by layer."""

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points
from demograd.report.charts.drawing import WIDTH, keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import points_by_layer
from demograd.report.section import Head, Section, Table, TableRow, entry, figure, grouped, section
from demograd.report.subject import short_labels, world_labels
from demograd.words import Setting

_LEAD = (
    "α is the cosine between LCGD’s change of the attention logits and GD’s. Near one, following either is following "
    "both; near zero, the two learn in unrelated directions, and at most one of them can be what ICL does."
)


@section("Do GD and LCGD agree?", order=150, brief="GD and LCGD")
def alpha_section(run: ReportedRun) -> Section | None:
    """A table of α, and a chart with a line per task and method over the layers."""
    overall = run.scores.by_variant("alpha", Setting.FT)
    if not overall:
        return None
    worlds, methods = world_labels(overall), short_labels(list(overall))
    several = len(set(methods.values())) > 1
    labels = {variant: f"{worlds[variant]}{f', {methods[variant]}' * several}" for variant in overall}
    rows = [("", TableRow(labels[variant], (entry(number),))) for variant, number in overall.items()]
    table = Table((Head("task"), Head(METRICS["alpha"].title)), grouped(rows))
    by_layer = points_by_layer(run.results, "alpha", labels)
    legend, layer = keys(list(labels.values())), Axis("layer", whole=True)
    chart = line_chart(by_layer, "α by layer", layer, Axis("cosine", zero=True), legend, width=WIDTH)
    caption = interval_note_of_points("Upright lines", by_layer)
    first, number = next(iter(overall.items()))
    sentence = f"On {labels[first]} α is {number.with_bounds}."
    return Section((*figure([chart], caption, legend=legend), table), f"{sentence} {_LEAD}")
