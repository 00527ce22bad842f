"""Accuracy, and what ICL and FT have in common, against the number of demonstrations (Shen 2023, Figure 5)."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.drawing import keys
from demograd.report.intervals import said_of_points
from demograd.report.lines import Axis, line_chart
from demograd.report.one_rate import SAID, at_one_rate
from demograd.report.scores import Scores
from demograd.report.section import Figure, Section
from demograd.report.variant import Variant
from demograd.words import Setting

METRICS_SHOWN = ("accuracy", "token_overlap", "overlap_cosine_similarity", "sim_aou")
_SETTINGS = (Setting.ZSL, Setting.ICL, Setting.ICL_REORDERED, Setting.FT)
_LEAD = (
    "ICL, fine-tuning by each method, and ICL with the same demonstrations in another order: how much of ICL there is "
    "to be matched at all."
)


def against_k_section(scores: Scores) -> Section | None:
    """A figure per task and model that has several k."""
    one_rate = at_one_rate(scores)
    points = pd.DataFrame(
        {
            "task": of.task,
            "model": of.model,
            "metric": metric,
            "label": _label(of, setting),
            "setting": setting,
            "weights": of.weights,
            "x": of.k,
            "y": cell.value,
            "low": cell.low,
            "high": cell.high,
            "conditional": cell.conditional,
        }
        for (of, metric, setting), cell in scores.cells.items()
        if metric in METRICS_SHOWN
        and setting in _SETTINGS
        and of.selection == "all"
        and of.k is not None
        and (of.method is None or of in one_rate)
    )
    if points.empty:
        return None
    points = points.astype(dict.fromkeys(("x", "y", "low", "high"), float))
    several_models = points["model"].nunique() > 1
    points = points.assign(about=points["task"] + ", " + points["model"] if several_models else points["task"])
    groups = {str(about): of for about, of in points.groupby("about", sort=False) if of["x"].nunique() > 1}
    figures = [_figure(of, about if len(groups) > 1 else "") for about, of in groups.items()]
    notes = (SAID,) if any(one_rate.values()) else ()
    return (
        Section("against-k", "Against the number of demonstrations", _LEAD, tuple(figures), notes) if figures else None
    )


def _label(of: Variant, setting: str) -> str:
    return f"FT by {of.method}" if setting == Setting.FT else Setting(setting).words


def _figure(data: pd.DataFrame, title: str) -> Figure:
    if data["weights"].nunique() > 1:
        data = data.assign(label=data["label"] + ", " + data["weights"])
    in_order = data.sort_values("setting", key=lambda column: column.map(_SETTINGS.index), kind="stable")
    legend = keys(list(dict.fromkeys(in_order["label"])))
    k = Axis("k", "log", ticks=tuple(sorted(set(data["x"]))))
    charts = [
        line_chart(data[data["metric"] == metric], METRICS[metric].title, k, Axis(METRICS[metric].title), legend)
        for metric in METRICS_SHOWN
    ]
    compare = "Token Overlap, its cosine and SimAOU compare each setting with ICL."
    caption = f"{said_of_points('Upright lines', data)} {compare}".strip()
    return Figure(tuple(chart for chart in charts if chart), caption, title, legend, small=True)
