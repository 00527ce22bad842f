"""SimAOU and SimAM_Δ by layer: colour is the method, a thin dotted line FT on the other sets, a panel the weights.

A reader sees the specificity as the gap between a line and the thin one of its colour.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points, ranges
from demograd.report.charts.drawing import HEIGHT, WIDTH, as_chart, keys, panel_header
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, NEAREST_RATE_NOTE, at_one_rate, points
from demograd.report.section import Chart, Figure, Key, Section, section
from demograd.report.subject import Variant, by_world, method_label, weights_rank, world_labels
from demograd.statistics.number import estimate
from demograd.words import ALL_TASKS, Setting

_DOTS = "1 3"
_UNIT = "cosine"
_LEAD = (
    "SimAOU is the cosine of two changes of a layer’s attention output: the one that demonstrations in the prompt make "
    "(ICL), and the one that fine-tuning on them makes (FT); SimAM_Δ the same of the attention logits of a head, "
    "mean over heads. One says: the same direction, zero: nothing in common."
)
_OVER_TASKS = (
    "All tasks: the mean over the tasks of this study, each of which counts once (Deutch 2024, Figure 3). Its "
    "intervals are for these tasks: over their demonstration sets and queries."
)
SAME, CONTROL = Setting.FT, Setting.FT_OTHER_SETS


@section("Layer by layer", order=110, brief="Layers")
def layers_section(run: ReportedRun) -> Section | None:
    """A figure per task, where there are scores by layer."""
    shown = at_one_rate(run.scores)
    rows, over_tasks = _rows(run.results), _rows(run.over_tasks)
    rows = rows[rows["variant"].isin(list(shown))]
    if rows.empty and over_tasks.empty:
        return None
    worlds = world_labels(shown)
    rows = rows.assign(world=[worlds[variant] for variant in rows["variant"]])
    figures = [
        _figure(rows[rows["world"] == world], world if rows["world"].nunique() > 1 else "")
        for world in dict.fromkeys(worlds[variant] for variant in shown)
        if world in set(rows["world"])
    ]
    for world, members in by_world(dict.fromkeys(over_tasks["variant"])).items():
        of_world = over_tasks[over_tasks["variant"].isin(members)].assign(world=world)
        figures.append(_figure(of_world, world or ALL_TASKS))
    notes = [*[NEAREST_RATE_NOTE] * any(shown.values()), *[_OVER_TASKS] * (not over_tasks.empty)]
    lead = f"{_sentence(over_tasks if rows.empty else rows)} {_LEAD}".strip()
    return Section(tuple(figures), lead, tuple(notes))


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    """The leading scores by layer, matched and mismatched."""
    by_metric = [
        points(results, metric, setting).assign(metric=metric, setting=setting)
        for metric in LEADING
        for setting in (SAME, CONTROL)
    ]
    measured = [rows for rows in by_metric if not rows.empty]
    rows = pd.concat(measured) if measured else by_metric[0]
    return rows[rows["layer"].notna()]


def _sentence(rows: pd.DataFrame) -> str:
    """Where the first method is most alike ICL, and how far from its mismatched score it is anywhere."""
    first = rows[(rows["variant"] == rows["variant"].iloc[0]) & (rows["metric"] == rows["metric"].iloc[0])]
    same, other = (first[first["setting"] == setting].set_index("layer")["value"] for setting in (SAME, CONTROL))
    if same.dropna().empty:
        return ""
    variant, title, best = first["variant"].iloc[0], METRICS[first["metric"].iloc[0]].title, same.idxmax()
    number = estimate(*(first[(first["setting"] == SAME) & (first["layer"] == best)].iloc[0][["value", "low", "high"]]))
    sentence = f"{title} of {variant.method} ({variant.weights}) is highest in layer {best:.0f}: {number.with_bounds}"
    gaps = (same - other).dropna()
    if gaps.empty:
        return f"{sentence}."
    farthest = gaps.abs().idxmax()
    gap = estimate(abs(gaps[farthest])).text
    return f"{sentence}; on other demonstrations it differs by no more than {gap} (layer {farthest:.0f})."


def _figure(rows: pd.DataFrame, world: str) -> Figure:
    variants: list[Variant] = list(dict.fromkeys(rows["variant"]))
    labels = {variant: method_label(variant, variants) for variant in variants}
    lines = keys(list(dict.fromkeys(labels.values())))
    data = rows.assign(
        label=[labels[variant] for variant in rows["variant"]],
        weights=[variant.weights for variant in rows["variant"]],
        layer=rows["layer"].astype(int),
    ).drop(columns=["variant", "at", "world"])
    shown = [metric for metric in LEADING if metric in set(data["metric"])]
    charts = tuple(_chart(data[data["metric"] == metric], lines) for metric in shown)
    against = set(data.loc[data["setting"] == CONTROL, "label"])
    legend = [
        *lines,
        *(Key(f"{key.label} on the other sets", key.colour, _DOTS, 1.5) for key in lines if key.label in against),
    ]
    bands = interval_note_of_points("Bands", data[data["setting"] == SAME])
    gap_is = "The gap between a line and the thin dotted one of its colour is the specificity." if against else ""
    gaps = [gap for metric in shown for gap in _gaps(data[data["metric"] == metric], METRICS[metric].title)]
    return Figure(charts, " ".join(filter(None, [bands, gap_is, *gaps])), world, tuple(legend))


def _chart(data: pd.DataFrame, legend: Sequence[Key]) -> Chart:
    title = METRICS[data["metric"].iloc[0]].title
    weights = sorted(set(data["weights"]), key=lambda name: (weights_rank(name), name))
    layers = [int(data["layer"].min()), int(data["layer"].max())]
    names = [key.label for key in legend]
    colour = alt.Color("label:N", scale=alt.Scale(domain=names, range=[key.colour for key in legend]), legend=None)
    dashes = [[float(part) for part in key.dash.split()] or [1, 0] for key in legend]
    dash = alt.StrokeDash("label:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    x = alt.X("layer:Q", title="layer", scale=alt.Scale(domain=layers, nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=_UNIT, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".3~g"))
    base = alt.Chart(_with_gaps(data)).encode(x=x, color=colour)
    same, control = (f"datum.setting === '{setting}'" for setting in (SAME, CONTROL))
    panels = alt.Chart(base.data).transform_aggregate(rows="count()", groupby=["weights"])
    zero = panels.mark_rule(color="#9aa3ad", strokeWidth=1).encode(y=alt.datum(0))
    band = base.transform_filter(same).mark_area(opacity=0.16, line=False)
    other = base.transform_filter(control).mark_line(strokeWidth=1.2, strokeDash=[int(part) for part in _DOTS.split()])
    line = base.transform_filter(same).mark_line(
        strokeWidth=2.2, point={"size": 14, "filled": True, "opacity": 1, "strokeWidth": 0}
    )
    layered = alt.layer(
        zero,
        band.encode(y=alt.Y("low:Q", title=_UNIT), y2="high:Q"),
        other.encode(y=y),
        line.encode(y=y, strokeDash=dash),
        width=WIDTH,
        height=HEIGHT,
    )
    faceted = layered.facet(row=alt.Row("weights:N", title=None, sort=weights, header=panel_header()), spacing=18)
    description = (
        f"{title} by layer, {layers[0]} to {layers[1]}, a panel per state of the weights ({', '.join(weights)}), a "
        f"line per method ({', '.join(names)})"
    )
    if (data["setting"] == CONTROL).any():
        description += "; thin dotted lines: fine-tuning on the other demonstration sets"
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
