"""SimAOU and SimAM_Δ by layer: colour is the method, a thin dashed line FT on the other sets, a panel the weights.

A reader sees the specificity as the gap between a line and the thin one of its colour.
"""

import altair as alt
import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points, ranges
from demograd.report.charts.drawing import COLOURS, HEIGHT, WIDTH, as_chart, panel_header
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, NEAREST_RATE_NOTE, at_one_rate, points
from demograd.report.section import Chart, Figure, Key, Section, section
from demograd.report.subject import Variant, method_label, weights_rank, world_labels
from demograd.words import Setting

SAME, CONTROL = Setting.FT, Setting.FT_OTHER_SETS


@section("Layer by layer", order=110, brief="Layers")
def layers_section(run: ReportedRun) -> Section | None:
    """A figure per task, where there are scores by layer."""
    rows = pd.concat(
        points(run.results, metric, setting).assign(metric=metric, setting=setting)
        for metric in LEADING
        for setting in (SAME, CONTROL)
    )
    shown = at_one_rate(run.scores)
    rows = rows[rows["layer"].notna() & rows["variant"].isin(list(shown))]
    if rows.empty:
        return None
    worlds = world_labels(shown)
    rows = rows.assign(world=[worlds[variant] for variant in rows["variant"]])
    figures = [
        _figure(rows[rows["world"] == world], world if rows["world"].nunique() > 1 else "")
        for world in dict.fromkeys(worlds[variant] for variant in shown)
        if world in set(rows["world"])
    ]
    return Section(tuple(figures), NEAREST_RATE_NOTE if any(shown.values()) else "")


def _figure(rows: pd.DataFrame, world: str) -> Figure:
    variants: list[Variant] = list(dict.fromkeys(rows["variant"]))
    labels = {variant: method_label(variant, variants) for variant in variants}
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(dict.fromkeys(labels.values()))}
    data = rows.assign(
        label=[labels[variant] for variant in rows["variant"]],
        weights=[variant.weights for variant in rows["variant"]],
        layer=rows["layer"].astype(int),
    ).drop(columns=["variant", "at", "world"])
    shown = [metric for metric in LEADING if metric in set(data["metric"])]
    charts = tuple(_chart(data[data["metric"] == metric], colours) for metric in shown)
    legend, against = [], set(data.loc[data["setting"] == CONTROL, "label"])
    for label, colour in colours.items():
        legend.append(Key(label, colour))
        if label in against:
            legend.append(Key(f"{label} on the other sets", colour, "5 3", 1.5))
    bands = interval_note_of_points("Bands", data[data["setting"] == SAME])
    gap_is = "The gap between a line and the thin dashed one of its colour is the specificity." if against else ""
    gaps = [gap for metric in shown for gap in _gaps(data[data["metric"] == metric], METRICS[metric].title)]
    return Figure(charts, " ".join(filter(None, [bands, gap_is, *gaps])), world, tuple(legend))


def _chart(data: pd.DataFrame, colours: dict[str, str]) -> Chart:
    title = METRICS[data["metric"].iloc[0]].title
    weights = sorted(set(data["weights"]), key=lambda name: (weights_rank(name), name))
    layers = [int(data["layer"].min()), int(data["layer"].max())]
    colour = alt.Color("label:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    x = alt.X("layer:Q", title="layer", scale=alt.Scale(domain=layers, nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".3~g"))
    base = alt.Chart(_with_gaps(data)).encode(x=x, color=colour)
    same, control = (f"datum.setting === '{setting}'" for setting in (SAME, CONTROL))
    panels = alt.Chart(base.data).transform_aggregate(rows="count()", groupby=["weights"])
    zero = panels.mark_rule(color="#9aa3ad", strokeWidth=1).encode(y=alt.datum(0))
    band = base.transform_filter(same).mark_area(opacity=0.16, line=False)
    other = base.transform_filter(control).mark_line(strokeWidth=1.1, strokeDash=[4, 2.5])
    line = base.transform_filter(same).mark_line(
        strokeWidth=2.2, point={"size": 14, "filled": True, "opacity": 1, "strokeWidth": 0}
    )
    layered = alt.layer(
        zero, band.encode(y=alt.Y("low:Q", title=title), y2="high:Q"), other.encode(y=y), line.encode(y=y)
    )
    faceted = layered.properties(width=WIDTH, height=HEIGHT).facet(
        row=alt.Row("weights:N", title=None, sort=weights, header=panel_header()), spacing=18
    )
    description = (
        f"{title} by layer, {layers[0]} to {layers[1]}, a panel per state of the weights ({', '.join(weights)}), a "
        f"line per method ({', '.join(colours)})"
    )
    if (data["setting"] == CONTROL).any():
        description += "; thin dashed lines: fine-tuning on the other demonstration sets"
    return as_chart(faceted, title, f"{description}.")


def _with_gaps(data: pd.DataFrame) -> pd.DataFrame:
    """The points of lines, with a null at every missing layer, which breaks the line."""
    keys = ["label", "weights", "setting"]
    layers = pd.DataFrame({"layer": range(int(data["layer"].min()), int(data["layer"].max()) + 1)})
    return data[keys].drop_duplicates().merge(layers, how="cross").merge(data, on=[*keys, "layer"], how="left")


def _gaps(data: pd.DataFrame, title: str) -> tuple[str, ...]:
    """A sentence per set of missing layers, with the lines that miss it."""
    full = _with_gaps(data[data["setting"] == SAME])
    missing: dict[tuple[int, ...], list[str]] = {}
    for (label, weights), line in full[full["value"].isna()].groupby(["label", "weights"], sort=False):
        missing.setdefault(tuple(line["layer"]), []).append(f"{label} ({weights})")
    n_lines = len(full[["label", "weights"]].drop_duplicates())
    return tuple(
        f"{title} is missing at layer{'s' * (len(layers) > 1)} {ranges(layers)}"
        + (" throughout." if len(lines) == n_lines else f" for {', '.join(lines)}.")
        for layers, lines in missing.items()
    )
