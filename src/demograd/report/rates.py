"""Score, specificity and update size as functions of the learning rate, and methods compared at equal size.

One rate per method is one point on a curve: which method looks more like ICL can depend on where it was taken.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.cell import Cell, cell, number
from demograd.report.drawing import keys
from demograd.report.intervals import said_of_cells
from demograd.report.lines import Axis, line_chart
from demograd.report.scores import LEADING, Scores
from demograd.report.section import NOTHING, Chart, Figure, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, in_order, variant, world_labels
from demograd.words import Control, Reading

SIZE = "update_size_ratio"
READINGS = (Reading.AT_EQUAL_SIZE, Reading.OVER_SIZES)
"""Of a score between the rates that were run."""
_RATE = Axis("learning rate", "log")
_RATIO = Axis("‖u_FT‖ / ‖u_ICL‖", "log")
_LEAD = (
    "A method at one learning rate is one point of a curve, and comparing methods or weights at one rate each is not "
    "fair. Here is the whole curve, and below it every method where its update is as large as the others’."
)


def rates_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A figure per task where a method has several rates, then the table at equal size."""
    tuned = scores.tuned()
    worlds = world_labels(tuned)
    figures: list[Figure | Table] = []
    for world in dict.fromkeys(worlds.values()):
        here = [each for each in tuned if worlds[each] == world]
        if len({(each.method, each.weights, each.learning_rate) for each in here}) > len(_lines(here)):
            figures.append(_figure(scores, here, world if len(set(worlds.values())) > 1 else ""))
    read = (_read_between(results, name, reading) for name in LEADING for reading in READINGS)
    parts = (*figures, *(table for table in read if table))
    return Section("rates", "Against the learning rate", _LEAD, parts) if parts else None


def _lines(here: list[Variant]) -> list[str]:
    return list(dict.fromkeys(_label(each) for each in here))


def _label(each: Variant) -> str:
    return f"{each.method}, {each.weights}"


def _figure(scores: Scores, here: list[Variant], title: str) -> Figure:
    legend = keys(_lines(here))
    sizes = {each: scores.get(each, SIZE, "FT") for each in here}
    rates = {each: each.learning_rate for each in here}
    ratios = {each: size.value for each, size in sizes.items()}
    compared = {control for _, metric, control in scores.specificities if metric in LEADING}
    control = next((control for control in Control if control in compared), None)
    charts: list[Chart | None] = []
    drawn = [*sizes.values()]
    for name in LEADING:
        score, of = METRICS[name].title, {each: scores.get(each, name, "FT") for each in here}
        drawn += of.values()
        charts.append(line_chart(_data(rates, of), f"{score} by rate", _RATE, Axis(score, zero=True), legend))
        if control:
            differences = {each: scores.specificity(each, name, control) for each in here}
            drawn += differences.values()
            axis = Axis(f"specificity vs {control.words}", zero=True)
            charts.append(line_chart(_data(rates, differences), f"{score} specificity by rate", _RATE, axis, legend))
        by_size = _data(ratios, of)
        charts.append(
            line_chart(by_size, f"{score} by size of the update", _RATIO, Axis(score, zero=True), legend, by="rate")
        )
    charts.append(line_chart(_data(rates, sizes), "Size of the update by rate", _RATE, _RATIO, legend))
    diverged = [f"{_label(each)} at {each.texts['learning_rate']}" for each in here if sizes[each].value is None]
    missing = f" Without numbers: {'; '.join(diverged)}." if diverged else ""
    intervals = said_of_cells("Upright lines", drawn)
    caption = f"{intervals} At a ratio of 1, FT’s update is as large as ICL’s.{missing}".strip()
    return Figure(tuple(chart for chart in charts if chart), caption, title, legend, small=True)


def _data(x: Mapping[Variant, float | None], y: Mapping[Variant, Cell]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": _label(each),
            "x": x[each],
            "y": cell.value,
            "low": cell.low,
            "high": cell.high,
            "rate": each.learning_rate,
        }
        for each, cell in y.items()
    ).astype({"x": float, "y": float, "low": float, "high": float})


def _read_between(results: pd.DataFrame, name: str, reading: Reading) -> Table | None:
    """A score and its specificities where all methods' updates are alike in size."""
    rows = results[
        (results["metric"] == name) & (results["reading"] == reading) & results[["seed", "layer"]].isna().all(axis=1)
    ]
    if rows.empty:
        return None
    by_control = {
        (variant(row), None if pd.isna(row["versus"]) else Control(row["versus"])): row
        for row in rows.to_dict("records")
    }
    variants = in_order(each for each, _ in by_control)
    compared = {control for _, control in by_control}
    controls = [control for control in (None, *Control) if control in compared]
    worlds = world_labels(variants)
    lines = []
    for each in variants:
        own = [by_control.get((each, control)) for control in controls]
        at = next((row["at"] for row in own if row is not None and pd.notna(row["at"])), None)
        entries = tuple(NOTHING if row is None else entry(cell(row)) for row in own)
        size = (f"at ‖u_FT‖ / ‖u_ICL‖ = {number(at)}",) if at is not None else ()
        lines.append((worlds[each], Row(each.method or "", entries, each.weights, size)))
    title, note = f"{METRICS[name].title} {reading.words}", "Read between the rates that were run."
    return Table((Head("method, weights"), *_heads(name, controls)), grouped(lines), title, note)


def _heads(name: str, controls: Sequence[Control | None]) -> Iterator[Head]:
    for control in controls:
        title = METRICS[name].title
        yield Head(title) if control is None else Head(f"{title} specificity", f"vs {control.words}")
