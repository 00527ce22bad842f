"""The papers' numbers beside the measured ones, in tables like theirs: a column per task."""

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_lowercase
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.published import beside, table
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate
from demograd.report.section import NOTHING, Chart, Entry, Head, Section, Table, TableRow, figure, grouped, section
from demograd.report.subject import Variant, weights_rank
from demograd.statistics.number import Number, estimate, formatted, signed
from demograd.words import Labels, Setting

_LEAD = (
    "Measured, then published, then measured minus published. Model, k, prompts and rates may all differ: a difference "
    "says that something does, not which of the two is wrong."
)
_INTERVALS = "Lines: of measured numbers 95 % intervals, of published ones ± the paper’s standard deviation."
_AS_RELEASED = {
    "separator": "eos",
    "record_at": "first_answer",
    "fine_tuning_order": "as_released",
    "fine_tuned_on": "all",
}
"""Settings of a study by which the released runs of Deutch 2024 differ from the defaults, whatever the model."""


@section("Beside the published numbers", order=250, brief="Published")
def published_section(run: ReportedRun) -> Section | None:
    """A table per metric for which a paper has a number of the same task, method and weights; all have gold labels."""
    shown = at_one_rate(run.scores)
    measured = pd.DataFrame(
        {
            "variant": variant,
            "model": variant.model,
            "weights": variant.weights,
            "task": variant.task,
            "method": variant.method,
            "metric": metric,
            "value": number.value,
            "std": number.std,
            "number": number,
        }
        for (variant, metric, setting), number in run.scores.numbers.items()
        if variant in shown
        and variant.labels == Labels.GOLD
        and not variant.initialisation  # of several, the first
        and setting == Setting.FT
        and metric in METRICS
        and number.value is not None
    )
    rows = beside(measured).to_dict("records") if len(measured) else []
    if not rows:
        return None
    caveats = list(dict.fromkeys(caveat for row in rows for caveat in row["caveats"]))
    shared = [caveat for caveat in caveats if all(caveat in row["caveats"] for row in rows)]
    marks = dict(zip([caveat for caveat in caveats if caveat not in shared], ascii_lowercase, strict=False))
    metrics = [metric for metric in METRICS if any(row["metric"] == metric for row in rows)]
    tables = [_table(metric, [row for row in rows if row["metric"] == metric], marks) for metric in metrics]
    notes = (
        _sources(rows),
        _conditions(rows, run.study),
        *([f"All of them: {' '.join(shared)}"] if shared else []),
        *(f"({mark}) {caveat}" for caveat, mark in marks.items()),
        *([NEAREST_RATE_NOTE] if any(shown.values()) else []),
    )
    pictures = figure((_chart(metric, rows) for metric in metrics), _INTERVALS)
    return Section((*pictures, *tables), f"{_sentence(rows)} {_LEAD}", notes)


def _chart(metric: str, rows: list[dict[Any, Any]]) -> Chart | None:
    """A row for each task, method and weights: the published number beside the measured one."""
    dots, several_k = [], len({row["variant"].k for row in rows}) > 1
    for row in sorted((row for row in rows if row["metric"] == metric), key=lambda row: _rank(row["variant"])):
        variant: Variant = row["variant"]
        read_as = f"read as {row['read_as']}" if pd.notna(row["read_as"]) else ""
        about = [variant.task, f"k {variant.k}" * several_k, variant.method, variant.weights, read_as]
        label = ", ".join(filter(None, about))
        dots += [Dot(label, row["number"], "measured"), Dot(label, _published(row), "published")]
    return dot_chart(dots, METRICS[metric].title, METRICS[metric].title)


def _published(row: Mapping[Any, Any]) -> Number:
    """The paper's number, ± its standard deviation, where it has one."""
    value, spread = row["published"], row["published_std"]
    return estimate(value) if pd.isna(spread) else estimate(value, value - spread, value + spread)


def _sentence(rows: list[dict[Any, Any]]) -> str:
    """How many published numbers the measured intervals hold, and the largest difference."""
    bounded = [row for row in rows if row["number"].bounds]
    inside = sum(row["number"].low <= row["published"] <= row["number"].high for row in bounded)
    farthest = max(rows, key=lambda row: abs(row["difference"]))
    about = ", ".join([METRICS[farthest["metric"]].title, farthest["variant"].method or "", farthest["variant"].task])
    return (
        f"Of {len(bounded)} measured intervals {inside or 'none'} {'holds' if inside < 2 else 'hold'} the published "
        f"number; the largest difference is {signed(farthest['difference'], 2)} ({about})."
    )


def _table(metric: str, rows: list[dict[Any, Any]], marks: Mapping[str, str]) -> Table:
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    several_k = len({row["variant"].k for row in rows}) > 1
    several_models = len({row["model"] for row in rows}) > 1
    lines: dict[tuple[str, str, str, str], dict[str, dict[Any, Any]]] = {}
    for row in sorted(rows, key=lambda row: _rank(row["variant"])):
        variant: Variant = row["variant"]
        title = ", ".join(
            [
                *([variant.model] if several_models else []),
                *([f"k {variant.k}"] if several_k else []),
            ]
        )
        words = f"published number read as {row['read_as']}" if pd.notna(row["read_as"]) else ""
        lines.setdefault((title, variant.method or "", variant.weights, words), {})[variant.task] = row
    table_rows = []
    for (title, method, weights, words), line in lines.items():
        entries = tuple(_entry(line[task], marks) if task in line else NOTHING for task in tasks)
        table_rows.append((title, TableRow(method, entries, weights, (words,) if words else ())))
    heads = (Head("method, weights"), *(Head(task) for task in tasks))
    return Table(heads, grouped(table_rows), METRICS[metric].title)


def _rank(variant: Variant) -> tuple[Any, ...]:
    return (variant.k or 0, variant.method or "", weights_rank(variant.weights), variant.learning_rate or 0.0)


def _entry(row: Mapping[Any, Any], marks: Mapping[str, str]) -> Entry:
    letters = " ".join(marks[caveat] for caveat in row["caveats"] if caveat in marks)
    spread = f" ± {formatted(row['published_std'], 2)}" if pd.notna(row["published_std"]) else ""
    under = (
        f"published {formatted(row['published'], 2)}{spread}{f' ({letters})' * bool(letters)}",
        f"difference {signed(row['difference'])}",
    )
    std = float(row["std"]) if pd.notna(row["std"]) else None
    number = replace(estimate(float(row["value"])), std=std)
    return Entry(formatted(row["value"]), "" if std is None else formatted(std), under, number=number)


def _sources(rows: list[dict[Any, Any]]) -> str:
    sources = ", ".join(dict.fromkeys(row["source"] for row in rows))
    models = ", ".join(dict.fromkeys(row["published_model"] for row in rows))
    same = all(row["same_model"] for row in rows)
    return f"Published: {sources}, on {models}, {'the same model' if same else 'another model than the measured one'}."


def _conditions(rows: list[dict[Any, Any]], study: Mapping[str, Any]) -> str:
    """The number of demonstrations on either side, and whether this run was the released runs' kind of run."""
    settings = table("deutch2024-settings")
    both = ({row["variant"].k for row in rows}, set(settings.loc[settings["metric"] == "k", "mean"]))
    measured, published = (", ".join(f"{k:g}" for k in sorted(ks)) for ks in both)
    otherwise = [name for name, value in _AS_RELEASED.items() if study.get(name) != value]
    released = "as the released runs were" if not otherwise else f"not as released in {', '.join(otherwise)}"
    return f"Here k = {measured}, published k = {published}. This run was made {released}."
