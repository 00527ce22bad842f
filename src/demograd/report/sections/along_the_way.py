"""Learning along the way: what fine-tuning has learned after some of its steps, and how alike ICL it is by then."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note_of_points
from demograd.report.charts.drawing import keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, Scores
from demograd.report.section import (
    NOTHING,
    Figure,
    Head,
    Key,
    Section,
    Table,
    TableRow,
    entry,
    figure,
    grouped,
    section,
)
from demograd.report.subject import (
    Variant,
    by_world,
    in_order,
    row_words,
    short_labels,
    variant,
    weights_rank,
    world_labels,
)
from demograd.statistics.number import NOT_MEASURED, Number, number_of, signed
from demograd.words import Control, Reading, Setting

SCORE, SIZE = "sim_aou", "update_size_ratio"
LEARNED = {"auc": "chance of the right ranking", "normalised_label_log_likelihood": "nats per query"}
"""What is learned, metrics that ZSL and ICL have too → their units."""
_LEAD = (
    "After some of its steps fine-tuning was looked at as it is at the end: what it has learned by then, and how alike "
    "ICL it is. Step 0 is ZSL, and a level dashed line is what ICL has learned."
)
_EQUAL = "Where the methods that learn have learned equally much"
_EQUAL_NOTE = (
    "Read along each method’s steps, or between its learning rates, where the gain in likelihood among the label words "
    "over ZSL is the largest that all methods that learn reach with every demonstration set."
)
_STEP = Axis("step", whole=True)
SPECIFICITY, MISMATCHED = "specificity", ", mismatched"
LEVEL = "#5b6770"
"""The colour of ICL's line."""
Rows = Mapping[tuple[Variant, int, str, bool], Number]
"""(variant, step, metric, whether it is the metric's specificity) → number."""
Point = dict[str, Any]
Figures = tuple[Figure, ...]


@section("Learning along the way", order=120, brief="Along the way")
def along_the_way_section(run: ReportedRun) -> Section | None:
    """Charts over the steps for each task, then the scores at equal learning."""
    rows, last = _rows(run.results), steps_done(run.results)
    parts: list[Figure | Table] = []
    for world, owners in by_world(in_order(owner for owner, *_ in rows)).items():
        worlds = dict.fromkeys(owner.untuned for owner in owners)
        for untuned, weights in short_labels([*worlds]).items():
            members = [owner for owner in owners if owner.untuned == untuned]
            title = ", ".join(filter(None, (world, weights.removeprefix("ICL").removeprefix(", "))))
            parts += _figure(run, rows, members, last, title)
    lead = f"{_sentence(rows, run.scores)} {_LEAD}".strip() if parts else ""
    parts += _at_equal_learning(run.results)
    return Section(tuple(parts), lead) if parts else None


def _sentence(rows: Rows, scores: Scores) -> str:
    """What the first method has learned at its first look and at its end, and how alike ICL it is there."""
    looks = {(owner, step) for owner, step, metric, is_specificity in rows if metric == SCORE and not is_specificity}
    if not looks:
        return ""
    owner = min(in_order(owner for owner, _ in looks), key=lambda owner: weights_rank(owner.weights))
    step = min(step for of_method, step in looks if of_method == owner)
    clauses = []
    for metric in (*LEARNED, SCORE):
        first, last = rows.get((owner, step, metric, False), NOT_MEASURED), scores.get(owner, metric, Setting.FT)
        if first.value is not None and last.value is not None:
            clauses.append(f"{METRICS[metric].title} goes from {first.with_bounds} to {last.with_bounds}")
    how = f"From step {step} to the end of {owner.method} ({owner.weights})"
    return f"{how} {', '.join(clauses[:-1])}{' and ' * (len(clauses) > 1)}{clauses[-1]}." if clauses else ""


def _rows(results: pd.DataFrame) -> dict[tuple[Variant, int, str, bool], Number]:
    """What FT has learned after a step, over all demonstration sets and layers."""
    rows = results[
        results[["seed", "layer", "head", "at"]].isna().all(axis=1)
        & results["step"].notna()
        & (results["selection"] == "all")
        & (results["setting"] == Setting.FT)
        & (results["reading"] == Reading.PLAIN)
        & (results["versus"].isna() | ((results["versus"] == Control.OTHER_SETS) & (results["metric"] == SCORE)))
        & results["metric"].isin([*LEARNED, SCORE, SIZE])
    ]
    return {
        (variant(row), int(row["step"]), row["metric"], pd.notna(row["versus"])): number_of(row)
        for row in rows.to_dict("records")
    }


def steps_done(results: pd.DataFrame) -> dict[Variant, int]:
    """How many steps a method makes, from the losses of its steps."""
    losses = results[(results["metric"] == "loss") & (results["setting"] == Setting.FT) & results["step"].notna()]
    done: dict[Variant, int] = {}
    for row in losses.to_dict("records"):
        owner = variant(row)
        done[owner] = max(done.get(owner, 0), int(row["step"]) + 1)
    return done


def _figure(run: ReportedRun, rows: Rows, owners: list[Variant], last: Mapping[Variant, int], title: str) -> Figures:
    labels = short_labels(owners)
    points = [point for owner in owners for point in _line(run.scores, rows, owner, labels[owner], last.get(owner))]
    points += _levels(run.scores, owners[0].untuned, int(max(point["x"] for point in points)))
    data = pd.DataFrame(points).astype(dict.fromkeys(("x", "y", "low", "high"), float))
    legend = [key for key in _legend(list(labels.values())) if key.label in set(data["label"])]
    score = METRICS[SCORE].title
    axes = {name: (METRICS[name].title, Axis(unit)) for name, unit in LEARNED.items()} | {
        SCORE: (f"{score}, matched and mismatched", Axis("cosine", zero=True)),
        SPECIFICITY: (f"{score} specificity", Axis("matched − mismatched", zero=True)),
        SIZE: ("Size of the update", Axis(METRICS[SIZE].title, zero=True)),
    }
    charts = [line_chart(data[data["shown"] == name], words, _STEP, y, legend) for name, (words, y) in axes.items()]
    return figure(charts, interval_note_of_points("Upright lines", data), title, legend, small=True)


def _line(scores: Scores, rows: Rows, owner: Variant, label: str, last: int | None) -> Iterator[Point]:
    """The points of a method: ZSL, its steps, and its end."""
    for metric in LEARNED:
        yield _point(label, metric, 0, scores.get(owner, metric, Setting.ZSL))
    steps = sorted({step for of_method, step, *_ in rows if of_method == owner})
    at_steps = {
        step: {name: rows.get((owner, step, *name), NOT_MEASURED) for name in _quantities(rows)} for step in steps
    }
    if last is not None:
        at_steps[last] = {name: _at_the_end(scores, owner, *name) for name in _quantities(rows)}
    for step, numbers in at_steps.items():
        for (metric, is_specificity), number in numbers.items():
            yield _point(label, SPECIFICITY if is_specificity else metric, step, number)
        matched, specificity = (numbers.get((SCORE, part), NOT_MEASURED).value for part in (False, True))
        if matched is not None and specificity is not None:
            mismatched = replace(NOT_MEASURED, value=matched - specificity)
            yield _point(f"{label}{MISMATCHED}", SCORE, step, mismatched)


def _quantities(rows: Rows) -> list[tuple[str, bool]]:
    """Metrics, each with whether it is the metric's specificity."""
    return list(dict.fromkeys((metric, is_specificity) for _, _, metric, is_specificity in rows))


def _at_the_end(scores: Scores, owner: Variant, metric: str, is_specificity: bool) -> Number:
    if is_specificity:
        return scores.specificity(owner, metric, Control.OTHER_SETS)
    return scores.get(owner, metric, Setting.FT)


def _levels(scores: Scores, untuned: Variant, last: int) -> Iterator[Point]:
    """Both ends of ICL's lines."""
    for metric in LEARNED:
        for x in (0, last):
            yield _point("ICL", metric, x, replace(scores.get(untuned, metric, Setting.ICL), low=None, high=None))


def _point(label: str, shown: str, x: int, number: Number) -> Point:
    return {
        "label": label,
        "shown": shown,
        "x": x,
        "y": number.value,
        "low": number.low,
        "high": number.high,
        "conditional": number.conditional,
    }


def _legend(labels: Sequence[str]) -> list[Key]:
    """A method's two lines share a colour; the mismatched one is dotted."""
    methods = keys(labels)
    mismatched = [Key(f"{key.label}{MISMATCHED}", key.colour, "1 3", 1.5) for key in methods]
    return [*methods, *mismatched, Key("ICL", LEVEL, "8 4", 1.5)]


def _at_equal_learning(results: pd.DataFrame) -> list[Table]:
    """Score, specificity and size of the update of every method where those that learn have learned equally much."""
    whole = results[["seed", "layer", "head"]].isna().all(axis=1) & (results["selection"] == "all")
    rows = results[whole & (results["reading"] == Reading.AT_EQUAL_LEARNING)].to_dict("records")
    read = {(variant(row), row["metric"], pd.notna(row["versus"])): row for row in rows}
    if not read:
        return []
    owners = in_order(owner for owner, *_ in read)
    names = [
        (metric, is_specificity)
        for metric in (*LEADING, SIZE)
        for is_specificity in (False, True)
        if any((owner, metric, is_specificity) in read for owner in owners)
    ]
    worlds, lines = world_labels(owners), []
    for owner in owners:
        present = [read.get((owner, *name)) for name in names]
        entries = tuple(NOTHING if row is None else entry(number_of(row)) for row in present)
        gained = next((row["at"] for row in present if row is not None and pd.notna(row["at"])), None)
        under = (f"likelihood among the label words {signed(gained)}",) if gained is not None else ()
        rivals = [rival for rival in owners if rival.method == owner.method]
        words = (*row_words(owner, rivals), *under)
        lines.append((worlds[owner], TableRow(owner.method or "", entries, owner.weights, words)))
    heads = (Head(METRICS[metric].title, "specificity" * is_specificity) for metric, is_specificity in names)
    return [Table((Head("method, weights"), *heads), grouped(lines), _EQUAL, _EQUAL_NOTE)]
