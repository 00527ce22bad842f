"""Accuracy, and what ICL and FT have in common, against the number of demonstrations (Shen 2023, Figure 5)."""

from dataclasses import replace

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.drawing import keys
from demograd.report.lines import Axis, line_chart
from demograd.report.points import short_labels
from demograd.report.score_tables import REORDERED
from demograd.report.scores import Scores
from demograd.report.section import Figure, Section
from demograd.report.variant import Variant

METRICS_SHOWN = ("accuracy", "token_overlap", "overlap_cosine_similarity", "sim_aou")
_SETTINGS = {"ZSL": "ZSL", "ICL": "ICL", REORDERED: "ICL, reordered", "FT": "FT"}
_LEAD = (
    "ICL, fine-tuning by each method, and ICL with the same demonstrations in another order: how much of ICL there is "
    "to be matched at all."
)


def against_k_section(scores: Scores) -> Section | None:
    """A figure per task and model that has several k."""
    rows = [
        {"variant": of, "metric": metric, "setting": setting, "y": cell.value, "low": cell.low, "high": cell.high}
        for (of, metric, setting), cell in scores.cells.items()
        if metric in METRICS_SHOWN and setting in _SETTINGS and of.selection == "all" and of.k is not None
    ]
    tasks: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row, of in ((row, row["variant"]) for row in rows):
        assert isinstance(of, Variant)
        tasks.setdefault((of.task, of.model), []).append(row)
    several = len(tasks) > 1
    figures = [
        _figure(pd.DataFrame(of), f"{task}, {model}" if len({one for _, one in tasks}) > 1 else task if several else "")
        for (task, model), of in tasks.items()
        if len({row["variant"].k for row in of}) > 1  # type: ignore[attr-defined]
    ]
    return Section("against-k", "Against the number of demonstrations", _LEAD, tuple(figures)) if figures else None


def _figure(data: pd.DataFrame, title: str) -> Figure:
    lines = list(dict.fromkeys((replace(of, k=None), setting) for of, setting in zip(data["variant"], data["setting"], strict=True)))
    lines.sort(key=lambda line: list(_SETTINGS).index(line[1]))
    tuned = short_labels([of for of, setting in lines if setting == "FT"])
    several_weights = len({of.weights for of, _ in lines}) > 1
    names = {
        (of, setting): f"FT by {tuned[of]}" if setting == "FT" else _SETTINGS[setting] + f", {of.weights}" * several_weights
        for of, setting in lines
    }
    data = data.assign(
        label=[names[replace(of, k=None), setting] for of, setting in zip(data["variant"], data["setting"], strict=True)],
        x=[float(of.k) for of in data["variant"]],
    ).astype({"y": float, "low": float, "high": float})
    legend = keys(list(names.values()))
    ticks = tuple(sorted(set(data["x"])))
    charts = [
        line_chart(data[data["metric"] == metric], METRICS[metric].title, Axis("k", "log", ticks=ticks),
                   Axis(METRICS[metric].title), legend)
        for metric in METRICS_SHOWN
    ]  # fmt: skip
    caption = "Upright lines: 95 % intervals. Token Overlap, its cosine and SimAOU compare each setting with ICL."
    return Figure(tuple(chart for chart in charts if chart), caption, title, legend, small=True)
