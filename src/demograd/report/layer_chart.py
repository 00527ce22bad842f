"""SimAOU and SimAM_Δ by layer: colour is the method, a thin dashed line its control, a panel the weights.

A reader sees the specificity as the gap between a line and the thin one of its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import altair as alt
import pandas as pd

from demograd.metrics import METRICS
from demograd.report.svg import static_svg
from demograd.report.variant import WEIGHTS, Variant, in_order, method_label, variant

COLOURS = ("#0b6fb8", "#c8500a", "#0a8a63", "#a8438a", "#8a6d00", "#4a55c4", "#7a4a2b", "#5b6770")
"""Told apart with any colour vision, and dark enough for thin lines on white."""
SHOWN = ("sim_aou", "sim_am_delta")
SAME, CONTROL = "FT", "FT_other_demonstrations"


@dataclass(frozen=True)
class Chart:
    """One metric on one task."""

    title: str
    svg: str
    gaps: tuple[str, ...]
    """What is missing, a sentence each."""


@dataclass(frozen=True)
class TaskCharts:
    """The charts of a task, and the legend that they share."""

    task: str
    legend: tuple[tuple[str, str], ...]
    """(method, colour)."""
    charts: tuple[Chart, ...]
    conditional: bool
    """Whether the bands hold for these demonstrations only."""


def layer_charts(results: pd.DataFrame) -> list[TaskCharts]:
    """Charts per task, where there are scores by layer."""
    points = results[
        results["layer"].notna()
        & results[["head", "step", "seed"]].isna().all(axis=1)
        & results["metric"].isin(SHOWN)
        & results["setting"].isin((SAME, CONTROL))
        & (results["selection"] == "all")
    ]
    variants = in_order({variant(row) for row in points.to_dict("records")})
    return [
        _task_charts(points[points["task"] == task], [each for each in variants if each.task == task])
        for task in dict.fromkeys(each.task for each in variants)
    ]


def _task_charts(points: pd.DataFrame, variants: Sequence[Variant]) -> TaskCharts:
    labels = list(dict.fromkeys(method_label(each, variants) for each in variants))
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    data = pd.DataFrame(
        {
            "label": method_label(variant(row), variants),
            "weights": row["weights"],
            "metric": row["metric"],
            "setting": row["setting"],
            "layer": int(row["layer"]),
            "value": row["value"],
            "low": row["ci_low"],
            "high": row["ci_high"],
        }
        for row in points.to_dict("records")
    )
    charts = tuple(_chart(data[data["metric"] == metric], colours) for metric in SHOWN if metric in set(data["metric"]))
    task = variants[0].task
    return TaskCharts(task, tuple(colours.items()), charts, bool((points["interval"] == "conditional").any()))


def _chart(data: pd.DataFrame, colours: dict[str, str]) -> Chart:
    title = METRICS[data["metric"].iloc[0]].title
    present = set(data["weights"])
    weights = [name for name in WEIGHTS if name in present] + sorted(present - set(WEIGHTS))
    layers = [int(data["layer"].min()), int(data["layer"].max())]
    colour = alt.Color("label:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    x = alt.X("layer:Q", title="layer", scale=alt.Scale(domain=layers, nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format="~g"))
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
    faceted = (
        layered.properties(width=430, height=170)
        .facet(row=alt.Row("weights:N", title=None, sort=weights, header=_header()), spacing=18)
        .configure(font="sans-serif", background="white")
        .configure_view(stroke=None)
        .configure_axis(
            grid=True,
            gridColor="#e9ecef",
            domain=False,
            tickColor="#c5ccd3",
            labelColor="#3d4650",
            titleColor="#3d4650",
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
        )
    )
    description = (
        f"{title} by layer, {layers[0]} to {layers[1]}, a panel per state of the weights ({', '.join(weights)}), a "
        f"line per method ({', '.join(colours)}); thin dashed lines: fine-tuning on other demonstrations."
    )
    specification = cast(dict[str, Any], faceted.to_dict())
    return Chart(title, static_svg(specification, f"{title} by layer", description), _gaps(data, title))


def _header() -> alt.Header:
    return alt.Header(
        orient="top",
        labelAnchor="start",
        labelFontSize=13,
        labelFontWeight="bold",
        labelColor="#1c2630",
        labelPadding=6,
    )


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


def ranges(layers: Sequence[int]) -> str:
    """`0–3, 7`."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
