"""Accuracy, and what ICL and FT have in common, against the number of demonstrations (Shen 2023, Figure 5)."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points
from demograd.report.charts.drawing import keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate
from demograd.report.section import Figure, Section, figure, section
from demograd.statistics.number import estimate
from demograd.words import Setting, task_label

METRICS_SHOWN = {
    "accuracy": "share of queries",
    "token_overlap": "share of tokens",
    "overlap_cosine_similarity": "cosine of probabilities",
    "sim_aou": "cosine",
}
"""Metric → its unit."""
_SETTINGS = (Setting.ZSL, Setting.ICL, Setting.ICL_REORDERED, Setting.FT)
_LEAD = (
    "ICL, fine-tuning by each method, and ICL with the same demonstrations in another order: how much of ICL there is "
    "to be matched at all."
)


@section("Against the number of demonstrations", order=140, brief="Against k")
def against_k_section(run: ReportedRun) -> Section | None:
    """A figure per task and model that has several k."""
    one_rate = at_one_rate(run.scores)
    points = pd.DataFrame(
        {
            "task": task_label(variant.task, variant.labels),
            "model": variant.model,
            "metric": metric,
            "label": f"FT by {variant.method}" if setting == Setting.FT else Setting(setting).words,
            "setting": setting,
            "weights": variant.weights + f", initialisation {variant.initialisation}" * bool(variant.initialisation),
            "x": variant.k,
            "y": number.value,
            "low": number.low,
            "high": number.high,
            "conditional": number.conditional,
        }
        for (variant, metric, setting), number in run.scores.numbers.items()
        if metric in METRICS_SHOWN
        and setting in _SETTINGS
        and variant.selection == "all"
        and variant.k is not None
        and (variant.method is None or variant in one_rate)
    )
    if points.empty:
        return None
    points = points.astype(dict.fromkeys(("x", "y", "low", "high"), float))
    several_models = points["model"].nunique() > 1
    about = points["task"] + ", " + points["model"] if several_models else points["task"]
    groups = {str(title): rows for title, rows in points.groupby(about, sort=False) if rows["x"].nunique() > 1}
    figures: list[Figure] = []
    for title, rows in groups.items():
        figures += _figure(rows, title if len(groups) > 1 else "")
    notes = (NEAREST_RATE_NOTE,) if any(one_rate.values()) else ()
    return Section(tuple(figures), f"{_sentence(points)} {_LEAD}".strip(), notes) if figures else None


def _sentence(points: pd.DataFrame) -> str:
    """ICL's accuracy with the fewest and the most demonstrations."""
    icl = points[(points["setting"] == Setting.ICL) & (points["metric"] == "accuracy")]
    icl = icl[icl["task"] == icl["task"].min()].dropna(subset=["y"]).sort_values("x") if len(icl) else icl
    if icl["x"].nunique() < 2:
        return ""
    ends = [
        f"{estimate(row['y'], row['low'], row['high']).with_bounds} with {row['x']:.0f}"
        for row in icl.iloc[[0, -1]].to_dict("records")
    ]
    return f"On {icl['task'].iloc[0]}, accuracy of ICL goes from {ends[0]} to {ends[1]} demonstrations."


def _figure(data: pd.DataFrame, title: str) -> tuple[Figure, ...]:
    if data["weights"].nunique() > 1:
        data = data.assign(label=data["label"] + ", " + data["weights"])
    in_order = data.sort_values("setting", key=lambda column: column.map(_SETTINGS.index), kind="stable")
    legend = keys(list(dict.fromkeys(in_order["label"])))
    k = Axis("demonstrations (k)", "log", ticks=tuple(sorted(set(data["x"]))))
    charts = [
        line_chart(data[data["metric"] == metric], METRICS[metric].title, k, Axis(unit), legend)
        for metric, unit in METRICS_SHOWN.items()
    ]
    compare = "Token Overlap, its cosine and SimAOU compare each setting with ICL."
    caption = f"{interval_note_of_points('Upright lines', data)} {compare}".strip()
    return figure(charts, caption, title, legend, small=True)
