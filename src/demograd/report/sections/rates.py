"""Score, specificity and update size as functions of the learning rate, and methods compared at equal size.

One rate per method is one point on a curve: which method looks more like ICL can depend on where it was taken.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import interval_note
from demograd.report.charts.drawing import keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, Scores
from demograd.report.section import NOTHING, Figure, Head, Section, Table, TableRow, entry, figure, grouped, section
from demograd.report.subject import Variant, by_world, in_order, variant, world_labels
from demograd.statistics.number import Number, formatted, number_of
from demograd.words import Control, Reading, Setting, task_label

SIZE = "update_size_ratio"
READINGS = (Reading.AT_EQUAL_SIZE, Reading.OVER_SIZES)
"""How a score is read between the learning rates that were run."""
_RATE = Axis("learning rate", "log")
_RATIO = Axis("‖u_FT‖ / ‖u_ICL‖", "log")
_LEAD = (
    "A method at one learning rate is one point of a curve, and comparing methods or weights at one rate each is not "
    "fair. Here is the whole curve, and below it every method where its update is as large as the others’."
)


@section("Against the learning rate", order=130, brief="Learning rates")
def rates_section(run: ReportedRun) -> Section | None:
    """A figure per task where a method has several rates, then the table at equal size."""
    parts: list[Figure | Table] = []
    for world, variants in by_world(run.scores.tuned()).items():
        if len({(_label(variant), variant.learning_rate) for variant in variants}) > len(set(map(_label, variants))):
            parts += _figure(run.scores, variants, world)
    tables = [_read_between(run.results, name, reading) for name in LEADING for reading in READINGS]
    parts += filter(None, tables)
    return Section(tuple(parts), f"{_sentence(run.scores)} {_LEAD}".strip()) if parts else None


def _sentence(scores: Scores) -> str:
    """Between which values the leading score of the first method with several rates goes, and at which rates."""
    curves: dict[str, list[tuple[float, float, Number]]] = {}
    for owner in scores.tuned():
        number = scores.get(owner, LEADING[0], Setting.FT)
        if number.value is not None and owner.learning_rate is not None:
            curve = f"{_label(owner)}, on {task_label(owner.task, owner.labels)}, k {owner.k}"
            curves.setdefault(curve, []).append((number.value, owner.learning_rate, number))
    for curve, points in curves.items():
        if len(points) > 1:
            low, high = (
                f"{number.with_bounds} at rate {rate:g}"
                for _, rate, number in (sorted(points, key=lambda point: point[0])[end] for end in (0, -1))
            )
            return f"{METRICS[LEADING[0]].title} of {curve}, goes from {low} to {high}."
    return ""


def _label(variant: Variant) -> str:
    return f"{variant.method}, {variant.weights}" + f", initialisation {variant.initialisation}" * bool(
        variant.initialisation
    )


def _figure(scores: Scores, variants: list[Variant], title: str) -> tuple[Figure, ...]:
    legend = keys(list(dict.fromkeys(map(_label, variants))))
    learning_rates = {variant: variant.learning_rate for variant in variants}
    sizes = {variant: scores.get(variant, SIZE, Setting.FT) for variant in variants}
    ratios = {variant: size.value for variant, size in sizes.items()}
    compared = {control for _, metric, control in scores.specificities if metric in LEADING}
    control = next((control for control in Control if control in compared), None)
    charts, numbers = [], [*sizes.values()]
    for name in LEADING:
        score = METRICS[name].title
        values = {variant: scores.get(variant, name, Setting.FT) for variant in variants}
        numbers += values.values()
        axis = Axis("cosine", zero=True)
        charts.append(line_chart(_data(learning_rates, values), f"{score} by rate", _RATE, axis, legend))
        if control:
            differences = {variant: scores.specificity(variant, name, control) for variant in variants}
            numbers += differences.values()
            against = Axis(f"cosine, minus that on {control.words}", zero=True)
            data = _data(learning_rates, differences)
            charts.append(line_chart(data, f"{score} specificity by rate", _RATE, against, legend))
        by_size = _data(ratios, values)
        charts.append(line_chart(by_size, f"{score} by size of the update", _RATIO, axis, legend, by="rate"))
    charts.append(line_chart(_data(learning_rates, sizes), "Size of the update by rate", _RATE, _RATIO, legend))
    diverged = [
        f"{_label(variant)} at {variant.texts['learning_rate']}" for variant in variants if ratios[variant] is None
    ]
    missing = f" Without numbers: {'; '.join(diverged)}." if diverged else ""
    note = interval_note("Upright lines", numbers)
    caption = f"{note} At a ratio of 1, FT’s update is as large as ICL’s.{missing}".strip()
    return figure(charts, caption, title, legend, small=True)


def _data(x: Mapping[Variant, float | None], y: Mapping[Variant, Number]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": _label(variant),
            "x": x[variant],
            "y": number.value,
            "low": number.low,
            "high": number.high,
            "rate": variant.learning_rate,
        }
        for variant, number in y.items()
    ).astype({"x": float, "y": float, "low": float, "high": float})


def _read_between(results: pd.DataFrame, name: str, reading: Reading) -> Table | None:
    """A score and its specificities where all methods' updates are alike in size."""
    rows = results[
        (results["metric"] == name) & (results["reading"] == reading) & results[["seed", "layer"]].isna().all(axis=1)
    ]
    if rows.empty:
        return None
    measured = {
        (variant(row), None if pd.isna(row["versus"]) else Control(row["versus"])): row
        for row in rows.to_dict("records")
    }
    variants = in_order(owner for owner, _ in measured)
    compared = {control for _, control in measured}
    controls = [control for control in (None, *Control) if control in compared]
    worlds = world_labels(variants)
    lines = []
    for owner in variants:
        values = [measured.get((owner, control)) for control in controls]
        at = next((row["at"] for row in values if row is not None and pd.notna(row["at"])), None)
        entries = tuple(NOTHING if row is None else entry(number_of(row)) for row in values)
        size = (f"at ‖u_FT‖ / ‖u_ICL‖ = {formatted(at)}",) if at is not None else ()
        lines.append((worlds[owner], TableRow(owner.method or "", entries, owner.weights, size)))
    title, note = f"{METRICS[name].title} {reading.words}", "Read between the rates that were run."
    return Table((Head("method, weights"), *_heads(name, controls)), grouped(lines), title, note)


def _heads(name: str, controls: Sequence[Control | None]) -> Iterator[Head]:
    title = METRICS[name].title
    for control in controls:
        yield Head(f"{title} specificity", f"vs {control.words}") if control else Head(title)
