"""Accuracy, and what ICL and FT have in common, against passes of fine-tuning (Shen 2023, Figure 5)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points
from demograd.report.charts.drawing import keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate, plain_rows
from demograd.report.section import Figure, Section, figure, section
from demograd.report.sections.along_the_way import steps_done
from demograd.report.subject import Variant, short_labels, variant, world_labels
from demograd.statistics.number import Number, number_of
from demograd.words import Setting

METRICS_SHOWN = {
    "accuracy": "share of queries",
    "token_overlap": "share of tokens",
    "overlap_cosine_similarity": "cosine of probabilities",
}
"""Metric → its unit."""
_OVERLAPS = ("token_overlap", "overlap_cosine_similarity")
_LEVELS = {
    "accuracy": (Setting.ZSL, Setting.ICL),
    **dict.fromkeys(_OVERLAPS, (Setting.ICL_REORDERED,)),
}
"""Metric → settings that no fine-tuning moves."""
_LEAD = (
    "A pass is one epoch over the demonstrations: one step of full-batch GD, k steps of GD by demonstration. Level "
    "lines are what fine-tuning does not move: ZSL and ICL, and the overlap of ICL with ICL on the same demonstrations "
    "in another order. If ICL were gradient descent, some number of passes would come as near to it as that."
)
Point = dict[str, Any]


@section("Against the passes over the demonstrations", order=141, brief="Against passes")
def against_passes_section(run: ReportedRun) -> Section | None:
    """A figure per task and model of a run that looked at FT along its way and at the next tokens."""
    shown = at_one_rate(run.scores)
    looks, last = _looks(run.results), steps_done(run.results)
    owners = [owner for owner in dict.fromkeys(owner for owner, *_ in looks) if owner in shown and owner in last]
    if not any(metric in _OVERLAPS for _, _, metric in looks):
        return None
    worlds, figures, points = world_labels(owners), list[Figure](), list[Point]()
    for world in dict.fromkeys(worlds.values()):
        members = [owner for owner in owners if worlds[owner] == world]
        labels = short_labels(members)
        points = [point for owner in members for point in _line(run, looks, owner, labels[owner], last[owner])]
        most = max((point["x"] for point in points), default=0.0)
        points += _levels(run, members[0].untuned, most)
        figures += _figure(pd.DataFrame(points), world if len(set(worlds.values())) > 1 else "")
    notes = (NEAREST_RATE_NOTE,) if any(shown[owner] for owner in owners) else ()
    return Section(tuple(figures), f"{_sentence(run, owners, looks, last)} {_LEAD}".strip(), notes) if figures else None


def _looks(results: pd.DataFrame) -> dict[tuple[Variant, int, str], Number]:
    """(method, step, metric) → the number of FT after so many steps, over all demonstration sets and layers."""
    rows = plain_rows(results)
    rows = rows[
        rows[["seed", "layer", "head", "at"]].isna().all(axis=1)
        & rows["step"].notna()
        & (rows["selection"] == "all")
        & (rows["setting"] == Setting.FT)
        & rows["metric"].isin(list(METRICS_SHOWN))
    ]
    return {(variant(row), int(row["step"]), row["metric"]): number_of(row) for row in rows.to_dict("records")}


def _line(
    run: ReportedRun, looks: Mapping[tuple[Variant, int, str], Number], owner: Variant, label: str, last: int
) -> Iterator[Point]:
    """Before the first step, after those that were looked at, and at the end."""
    per_pass = last / _passes(owner)
    for metric in METRICS_SHOWN:
        numbers = {
            step: number for (of_method, step, name), number in looks.items() if (of_method, name) == (owner, metric)
        }
        numbers[last] = run.scores.get(owner, metric, Setting.FT)
        if metric not in _OVERLAPS:
            numbers[0] = run.scores.get(owner, metric, Setting.ZSL)
        for step, number in numbers.items():
            yield _point(f"FT by {label}", metric, step / per_pass, number)


def _levels(run: ReportedRun, untuned: Variant, most: float) -> Iterator[Point]:
    for metric, settings in _LEVELS.items():
        for setting in settings:
            if number := run.scores.numbers.get((untuned, metric, setting)):
                yield from (_point(setting.words, metric, x, number) for x in (0.0, most))


def _point(label: str, metric: str, x: float, number: Number) -> Point:
    bounds = {"low": number.low, "high": number.high, "conditional": number.conditional}
    return {"label": label, "metric": metric, "x": x, "y": number.value, **bounds}


def _passes(owner: Variant) -> int:
    """Epochs of a method; 1 where its options do not say."""
    options = json.loads(owner.method_options or "{}")
    return int(options.get("epochs", 1))


def _figure(data: pd.DataFrame, title: str) -> tuple[Figure, ...]:
    data = data.astype(dict.fromkeys(("x", "y", "low", "high"), float))
    tuned = data["label"].str.startswith("FT by ")
    legend = keys(list(dict.fromkeys([*data["label"][~tuned], *data["label"][tuned]])))
    axis = Axis("passes over the demonstrations (epochs)")
    charts = [
        line_chart(data[data["metric"] == metric], METRICS[metric].title, axis, Axis(unit), legend)
        for metric, unit in METRICS_SHOWN.items()
    ]
    return figure(charts, interval_note_of_points("Upright lines", data), title, legend, small=True)


def _sentence(
    run: ReportedRun,
    owners: list[Variant],
    looks: Mapping[tuple[Variant, int, str], Number],
    last: Mapping[Variant, int],
) -> str:
    """The overlap of the first method at its first look and at its end, beside that of ICL reordered."""
    owner = owners[0]
    step = min(step for of_method, step, _ in looks if of_method == owner)
    first, end = looks.get((owner, step, "token_overlap")), run.scores.get(owner, "token_overlap", Setting.FT)
    if first is None or first.value is None or end.value is None:
        return ""
    passes = step * _passes(owner) / last[owner]
    sentence = (
        f"{METRICS['token_overlap'].title} of FT by {owner.method} with ICL goes from {first.with_bounds} after "
        f"{passes:g} pass{'es' * (passes != 1)} to {end.with_bounds} after {_passes(owner)}"
    )
    reordered = run.scores.numbers.get((owner.untuned, "token_overlap", Setting.ICL_REORDERED))
    return f"{sentence}; that of ICL reordered is {reordered.with_bounds}." if reordered else f"{sentence}."
