"""The papers' numbers beside the measured ones, in tables like theirs: a column per task."""

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.published import beside, table
from demograd.report.cell import number, signed
from demograd.report.one_rate import SAID, at_one_rate
from demograd.report.scores import Scores
from demograd.report.section import NOTHING, Entry, Head, Row, Section, Table, grouped
from demograd.report.variant import WEIGHTS, Variant

_LEAD = (
    "Measured, then published, then measured minus published. Model, k, prompts and rates may all differ: a difference "
    "says that something does, not which of the two is wrong."
)
_AS_RELEASED = {
    "separator": "eos",
    "record_at": "first_answer",
    "fine_tuning_order": "as_released",
    "fine_tuned_on": "all",
}
"""Settings of a study by which the released runs of Deutch 2024 differ from the defaults, whatever the model."""


def published_section(scores: Scores, study: Mapping[str, Any]) -> Section | None:
    """A table per metric for which a paper has a number of the same task, method and weights."""
    shown = at_one_rate(scores)
    rows = pd.DataFrame(
        {
            "variant": each,
            "model": each.model,
            "weights": each.weights,
            "task": each.task,
            "method": each.method,
            "metric": metric,
            "value": cell.value,
            "std": cell.std,
        }
        for (each, metric, setting), cell in scores.cells.items()
        if each in shown and setting == "FT" and metric in METRICS and cell.value is not None
    )
    found = beside(rows).to_dict("records") if len(rows) else []
    if not found:
        return None
    told = list(dict.fromkeys(caveat for row in found for caveat in row["caveats"]))
    everywhere = [caveat for caveat in told if all(caveat in row["caveats"] for row in found)]
    marks = dict(zip([caveat for caveat in told if caveat not in everywhere], ascii_lowercase, strict=False))
    tables = [
        _table(metric, [row for row in found if row["metric"] == metric], marks)
        for metric in METRICS
        if any(row["metric"] == metric for row in found)
    ]
    notes = (
        _where(found),
        _how(found, study),
        *([f"All of them: {' '.join(everywhere)}"] if everywhere else []),
        *(f"({mark}) {caveat}" for caveat, mark in marks.items()),
        *([SAID] if any(shown.values()) else []),
    )
    return Section("published", "Beside the published numbers", _LEAD, tuple(tables), notes)


def _table(metric: str, found: list[dict[Any, Any]], marks: Mapping[str, str]) -> Table:
    tasks = list(dict.fromkeys(row["task"] for row in found))
    several_k = len({row["variant"].k for row in found}) > 1
    several_models = len({row["model"] for row in found}) > 1
    lines: dict[tuple[str, str, str, str], dict[str, dict[Any, Any]]] = {}
    for row in sorted(found, key=lambda row: _rank(row["variant"])):
        each: Variant = row["variant"]
        title = ", ".join([*([each.model] if several_models else []), *([f"k {each.k}"] if several_k else [])])
        words = f"published number read as {row['read_as']}" if pd.notna(row["read_as"]) else ""
        lines.setdefault((title, each.method or "", each.weights, words), {})[each.task] = row
    rows = [
        (
            title,
            Row(
                method,
                tuple(_entry(of[task], marks) if task in of else NOTHING for task in tasks),
                weights,
                (words,) if words else (),
            ),
        )
        for (title, method, weights, words), of in lines.items()
    ]
    return Table((Head("method, weights"), *(Head(task) for task in tasks)), grouped(rows), METRICS[metric].title)


def _rank(each: Variant) -> tuple[Any, ...]:
    known = WEIGHTS.index(each.weights) if each.weights in WEIGHTS else len(WEIGHTS)
    return (each.k or 0, each.method or "", known, each.learning_rate or 0.0)


def _entry(row: Mapping[Any, Any], marks: Mapping[str, str]) -> Entry:
    letters = " ".join(marks[caveat] for caveat in row["caveats"] if caveat in marks)
    spread = f" ± {number(row['published_std'], 2)}" if pd.notna(row["published_std"]) else ""
    under = (
        f"published {number(row['published'], 2)}{spread}{f' ({letters})' * bool(letters)}",
        f"difference {signed(row['difference'])}",
    )
    return Entry(number(row["value"]), number(row["std"]) if pd.notna(row["std"]) else "", under)


def _where(found: list[dict[Any, Any]]) -> str:
    sources = ", ".join(dict.fromkeys(row["source"] for row in found))
    models = ", ".join(dict.fromkeys(row["published_model"] for row in found))
    same = all(row["same_model"] for row in found)
    return f"Published: {sources}, on {models}, {'the same model' if same else 'another model than the measured one'}."


def _how(found: list[dict[Any, Any]], study: Mapping[str, Any]) -> str:
    """How many demonstrations there were on either side, and whether this run was the released runs' kind of run."""
    settings = table("deutch2024-settings")
    both = ({row["variant"].k for row in found}, set(settings.loc[settings["metric"] == "k", "mean"]))
    here, there = (", ".join(f"{k:g}" for k in sorted(ks)) for ks in both)
    otherwise = [name for name, value in _AS_RELEASED.items() if study.get(name) != value]
    released = "as the released runs were" if not otherwise else f"not as released in {', '.join(otherwise)}"
    return f"Here k = {here}, published k = {there}. This run was made {released}."
