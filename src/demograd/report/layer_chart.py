"""SimAOU and SimAM_Δ by layer: colour is the method, a thin dashed line its control, a panel the weights.

A reader sees the specificity as the gap between a line and the thin one of its colour.
"""

import altair as alt
import pandas as pd

from demograd.metrics import METRICS
from demograd.report.drawing import COLOURS, HEIGHT, WIDTH, drawn, panel_header
from demograd.report.intervals import said_of_points
from demograd.report.layer_ranges import ranges
from demograd.report.one_rate import SAID, at_one_rate
from demograd.report.points import points
from demograd.report.scores import LEADING, Scores
from demograd.report.section import Chart, Figure, Key, Section
from demograd.report.variant import WEIGHTS, Variant, method_label, world_labels
from demograd.words import Setting

SAME, CONTROL = Setting.FT, Setting.FT_OTHER_DEMONSTRATIONS


def layers_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A figure per task, where there are scores by layer."""
    rows = pd.concat(
        points(results, metric, setting).assign(metric=metric, setting=setting)
        for metric in LEADING
        for setting in (SAME, CONTROL)
    )
    shown = at_one_rate(scores)
    rows = rows[rows["layer"].notna() & rows["variant"].isin(list(shown))]
    if rows.empty:
        return None
    worlds = world_labels(shown)
    rows = rows.assign(world=[worlds[each] for each in rows["variant"]])
    figures = [
        _figure(rows[rows["world"] == world], world if rows["world"].nunique() > 1 else "")
        for world in dict.fromkeys(worlds[each] for each in shown)
        if world in set(rows["world"])
    ]
    return Section("layers", "Layer by layer", SAID if any(shown.values()) else "", tuple(figures))


def _figure(rows: pd.DataFrame, world: str) -> Figure:
    variants: list[Variant] = list(dict.fromkeys(rows["variant"]))
    labels = {each: method_label(each, variants) for each in variants}
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(dict.fromkeys(labels.values()))}
    data = rows.assign(
        label=[labels[each] for each in rows["variant"]],
        weights=[each.weights for each in rows["variant"]],
        layer=rows["layer"].astype(int),
    ).drop(columns=["variant", "at", "world"])
    shown = [metric for metric in LEADING if metric in set(data["metric"])]
    charts = tuple(_chart(data[data["metric"] == metric], colours) for metric in shown)
    legend, against = [], set(data.loc[data["setting"] == CONTROL, "label"])
    for label, colour in colours.items():
        legend.append(Key(label, colour))
        if label in against:
            legend.append(Key(f"{label} on other demonstrations", colour, "5 3", 1.5))
    bands = said_of_points("Bands", data[data["setting"] == SAME])
    gap_is = "The gap between a line and the thin dashed one of its colour is the specificity." if against else ""
    gaps = [gap for metric in shown for gap in _gaps(data[data["metric"] == metric], METRICS[metric].title)]
    return Figure(charts, " ".join(filter(None, [bands, gap_is, *gaps])), world, tuple(legend))


def _chart(data: pd.DataFrame, colours: dict[str, str]) -> Chart:
    title = METRICS[data["metric"].iloc[0]].title
    present = set(data["weights"])
    weights = [name for name in WEIGHTS if name in present] + sorted(present - set(WEIGHTS))
    layers = [int(data["layer"].min()), int(data["layer"].max())]
    colour = alt.Color("label:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    x = alt.X("layer:Q", title="layer", scale=alt.Scale(domain=layers, nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".3~g"))
    base = alt.Chart(_with_gaps(data)).encode(x=x, color=colour)
    same, control = (f"datum.setting === '{setting}'" for setting in (SAME, CONTROL))
    one = alt.Chart(base.data).transform_aggregate(rows="count()", groupby=["weights"])
    zero = one.mark_rule(color="#9aa3ad", strokeWidth=1).encode(y=alt.datum(0))
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
        description += "; thin dashed lines: fine-tuning on other demonstrations"
    return drawn(faceted, title, f"{description}.")


def _with_gaps(data: pd.DataFrame) -> pd.DataFrame:
    """Every line has a point, or a null, at every layer: a null breaks the line."""
    keys = ["label", "weights", "setting"]
    layers = pd.DataFrame({"layer": range(int(data["layer"].min()), int(data["layer"].max()) + 1)})
    return data[keys].drop_duplicates().merge(layers, how="cross").merge(data, on=[*keys, "layer"], how="left")


def _gaps(data: pd.DataFrame, title: str) -> tuple[str, ...]:
    """Which layers of which line are missing, lines that miss the same ones together."""
    full = _with_gaps(data[data["setting"] == SAME])
    missing: dict[tuple[int, ...], list[str]] = {}
    for (label, weights), line in full[full["value"].isna()].groupby(["label", "weights"], sort=False):
        missing.setdefault(tuple(line["layer"]), []).append(f"{label} ({weights})")
    everywhere = len(full[["label", "weights"]].drop_duplicates())
    return tuple(
        f"{title} is missing at layer{'s' * (len(layers) > 1)} {ranges(layers)}"
        + (" throughout." if len(lines) == everywhere else f" for {', '.join(lines)}.")
        for layers, lines in missing.items()
    )
