"""SimAOU and SimAM_Δ by layer: colour is the method, a thin dotted line FT on the other sets, a panel the weights.

A reader sees the specificity as the gap between a line and the thin one of its colour. Over all tasks, what Deutch 2024
logged by layer (SimAOU_norm and SimAM_Δ) is drawn beside what was measured of the same metric.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from demograd.metrics import METRICS
from demograd.published import caveats_of, published_by_layer, table
from demograd.report.captions import interval_note_of_points, ranges
from demograd.report.charts.drawing import HEIGHT, WIDTH, as_chart, keys, panel_header
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, NEAREST_RATE_NOTE, at_one_rate, points
from demograd.report.section import Chart, Figure, Key, Section, section
from demograd.report.subject import Variant, by_world, method_label, weights_rank, world_labels
from demograd.statistics.number import estimate
from demograd.words import ALL_TASKS, Labels, Setting, Weights

_DOTS = "1 3"
_DASH_DOTS = "8 2 1 2"
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
_LOGGED = ("sim_aou_norm", "sim_am_delta")
"""The metrics of the released logs of Deutch 2024."""
_PUBLISHED = "published"
"""In the place of a setting, in the rows of published lines."""
_NONE_PUBLISHED = pd.DataFrame(columns=["variant", "metric", "layer", "value", "weights", "setting"])


@section("Layer by layer", order=110, brief="Layers")
def layers_section(run: ReportedRun) -> Section | None:
    """A figure per task, where there are scores by layer."""
    shown = at_one_rate(run.scores)
    rows, over_tasks = _rows(run.results, LEADING), _rows(run.over_tasks, (*LEADING, *_LOGGED))
    rows = rows[rows["variant"].isin(list(shown))]
    if rows.empty and over_tasks.empty:
        return None
    worlds = world_labels(shown)
    rows = rows.assign(world=[worlds[variant] for variant in rows["variant"]])
    figures = [
        _figure(rows[rows["world"] == world], world if rows["world"].nunique() > 1 else "", _NONE_PUBLISHED)
        for world in dict.fromkeys(worlds[variant] for variant in shown)
        if world in set(rows["world"])
    ]
    notes, tasks = list[str](), run.study.get("tasks", [])
    for world, members in by_world(dict.fromkeys(over_tasks["variant"])).items():
        of_world = over_tasks[over_tasks["variant"].isin(members)].assign(world=world)
        published = _published(of_world, tasks)
        scores = of_world[of_world["metric"].isin([*LEADING, *published["metric"]])]
        figures.append(_figure(scores, world or ALL_TASKS, published))
        notes += [] if published.empty else _notes_of_published(tasks)
    notes = [
        *[NEAREST_RATE_NOTE] * any(shown.values()),
        *[_OVER_TASKS] * (not over_tasks.empty),
        *dict.fromkeys(notes),
    ]
    lead = f"{_sentence(over_tasks if rows.empty else rows)} {_LEAD}".strip()
    return Section(tuple(figures), lead, tuple(notes))


def _rows(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """These scores by layer, matched and mismatched."""
    by_metric = [
        points(results, metric, setting).assign(metric=metric, setting=setting)
        for metric in dict.fromkeys(metrics)
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


def _published(rows: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """What was logged of the same metric, method and tasks, once for each method with trained weights and gold labels,
    as the published runs had, with the columns of `_NONE_PUBLISHED`. The published layers are spread over the depth of
    the measured model."""
    by_method = {
        variant.method: variant
        for variant in reversed(dict.fromkeys(rows["variant"]))
        if (variant.weights, variant.labels) == (Weights.TRAINED, Labels.GOLD)
    }
    lines = []
    for metric in set(_LOGGED).intersection(rows["metric"]):
        for method, variant in by_method.items():
            numbers = published_by_layer(tasks, metric, method or "")
            if numbers is not None:
                depth = numbers.index.to_numpy(dtype=float) / numbers.index.max()
                line = {"layer": depth * rows["layer"].max(), "value": numbers.to_numpy(dtype=float)}
                about = {"variant": variant, "metric": metric, "weights": variant.weights, "setting": _PUBLISHED}
                lines.append(pd.DataFrame(line).assign(**about))
    return pd.concat(lines) if lines else _NONE_PUBLISHED


def _notes_of_published(tasks: Sequence[str]) -> list[str]:
    """Where the published lines are from, and what is known to be wrong with them."""
    logs = table("deutch2024-per-layer")
    names = [task.partition("=")[0] for task in tasks]
    shown = logs[logs["metric"].isin(_LOGGED) & logs["task"].isin(names)]
    about = shown.iloc[0]
    caveats = dict.fromkeys(caveat.says for row in shown.to_dict("records") for caveat in caveats_of(row))
    return [
        f"Published: {about['source']}, on {about['model']}, means over the same tasks and three seeds of each, "
        "without intervals; k and the queries differ from those of this run, unless it is as released. Its "
        f"{shown['layer'].nunique()} layers are spread over the depth of the measured model, first on first and last "
        f"on last. The logs have SimAOU_norm and not SimAOU. {' '.join(caveats)}"
    ]


def _figure(rows: pd.DataFrame, world: str, published: pd.DataFrame) -> Figure:
    variants: list[Variant] = list(dict.fromkeys(rows["variant"]))
    labels = {variant: method_label(variant, variants) for variant in variants}
    lines = keys(list(dict.fromkeys(labels.values())))
    data = rows.assign(
        label=[labels[variant] for variant in rows["variant"]],
        weights=[variant.weights for variant in rows["variant"]],
        layer=rows["layer"].astype(int),
    ).drop(columns=["variant", "at", "world"])
    logs = published.assign(label=[labels[variant] for variant in published["variant"]]).drop(columns="variant")
    shown = [metric for metric in dict.fromkeys((*LEADING, *_LOGGED)) if metric in set(data["metric"])]
    charts = tuple(_chart(data[data["metric"] == metric], logs[logs["metric"] == metric], lines) for metric in shown)
    against, logged = set(data.loc[data["setting"] == CONTROL, "label"]), set(logs["label"])
    legend = [
        *lines,
        *(Key(f"{key.label} on the other sets", key.colour, _DOTS, 1.5) for key in lines if key.label in against),
        *(Key(f"{key.label}, published", key.colour, _DASH_DOTS, 1.5) for key in lines if key.label in logged),
    ]
    bands = interval_note_of_points("Bands", data[data["setting"] == SAME])
    gap_is = "The gap between a line and the thin dotted one of its colour is the specificity." if against else ""
    gaps = [gap for metric in shown for gap in _gaps(data[data["metric"] == metric], METRICS[metric].title)]
    return Figure(charts, " ".join(filter(None, [bands, gap_is, *gaps])), world, tuple(legend))


def _chart(data: pd.DataFrame, logs: pd.DataFrame, legend: Sequence[Key]) -> Chart:
    title = METRICS[data["metric"].iloc[0]].title
    weights = sorted(set(data["weights"]), key=lambda name: (weights_rank(name), name))
    layers = [int(data["layer"].min()), int(data["layer"].max())]
    names = [key.label for key in legend]
    colour = alt.Color("label:N", scale=alt.Scale(domain=names, range=[key.colour for key in legend]), legend=None)
    dashes = [[float(part) for part in key.dash.split()] or [1, 0] for key in legend]
    stroke_dash = alt.StrokeDash("label:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    x = alt.X("layer:Q", title="layer", scale=alt.Scale(domain=layers, nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=_UNIT, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".3~g"))
    points = _with_gaps(data) if logs.empty else pd.concat([_with_gaps(data), logs])
    base = alt.Chart(points).encode(x=x, color=colour)
    same, control, published = (f"datum.setting === '{setting}'" for setting in (SAME, CONTROL, _PUBLISHED))
    panels = alt.Chart(base.data).transform_aggregate(rows="count()", groupby=["weights"])
    zero = panels.mark_rule(color="#9aa3ad", strokeWidth=1).encode(y=alt.datum(0))
    band = base.transform_filter(same).mark_area(opacity=0.16, line=False)
    other, beside = (
        base.transform_filter(setting).mark_line(strokeWidth=1.2, strokeDash=[int(part) for part in dash.split()])
        for setting, dash in ((control, _DOTS), (published, _DASH_DOTS))
    )
    line = base.transform_filter(same).mark_line(
        strokeWidth=2.2, point={"size": 14, "filled": True, "opacity": 1, "strokeWidth": 0}
    )
    layered = alt.layer(
        zero,
        band.encode(y=alt.Y("low:Q", title=_UNIT), y2="high:Q"),
        other.encode(y=y),
        *[beside.encode(y=y)] * (not logs.empty),
        line.encode(y=y, strokeDash=stroke_dash),
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
    if not logs.empty:
        description += "; thin lines of dashes and dots: published"
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
