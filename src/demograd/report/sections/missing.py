"""The missing numbers: counted by status, and listed by task, method, metric and layer."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.captions import ranges
from demograd.report.charts.bars import bar_chart
from demograd.report.run import ReportedRun
from demograd.report.section import Entry, Figure, Group, Head, Section, Table, TableRow, figure, section
from demograd.words import Control, Reading, Setting

_GROUP = ["task", "labels", "k", "model", "weights", "initialisation", "method", "learning_rate", "status"]
_SPECIFICITY = " specificity"
_LEAD = (
    "A missing number is never replaced nor averaged in: it is below resolution (too small for its direction to be "
    "known), undefined, or of a training that diverged."
)
MOST = 12
"""Metrics that are drawn."""
FEW = 12
"""Lines that are shown at once."""
_HEADS = (
    Head("task"),
    Head("weights, method", words=True),
    Head("status", words=True),
    Head("layers", words=True),
    Head("what", words=True),
    Head("rows"),
)


@section("What is missing", order=1000, brief="Missing")
def missing_section(run: ReportedRun) -> Section:
    """Counts of the status column, and a row per kind of missing numbers."""
    results = run.results
    counts = results["status"].astype(str).value_counts()
    statuses = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    several = {name for name in ("k", "model", "labels", "initialisation") if results[name].nunique() > 1}
    rows = tuple(
        _absence(group, several) for _, group in results[results["status"] != "ok"].groupby(_GROUP, dropna=False)
    )
    folded = f"{len(rows)} kinds of numbers are missing" if len(rows) > FEW else ""
    tables = (Table(_HEADS, (Group("", rows),), folded=folded),) if rows else ()
    lead = f"Of the {len(results):,} rows of the results: {statuses}."
    return Section((*_picture(results), *tables), f"{lead} {_LEAD}" if rows else lead)


def _picture(results: pd.DataFrame) -> tuple[Figure, ...]:
    """A bar for each metric that lacks numbers: which share of its rows, and why."""
    rows = pd.DataFrame(
        {"metric": [_name(name) for name in results["metric"]], "status": _without_places(results["status"])}
    )
    shares = rows.groupby(["metric", "status"], sort=False).size() / rows.groupby("metric", sort=False).size()
    absent = shares[shares.index.get_level_values("status") != "ok"]
    if absent.empty:
        return ()
    most = absent.groupby("metric").sum().sort_values(ascending=False).index[:MOST]
    bars = absent.rename("value").reset_index()
    bars = bars[bars["metric"].isin(most)].assign(value=100 * bars["value"])
    n = absent.index.get_level_values("metric").nunique()
    caption = f"The {MOST} metrics that lack most, of {n}." if n > MOST else ""
    return figure([bar_chart(bars, list(most), "Rows without a number", "% of the rows of a metric")], caption)


def _name(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else str(metric).replace("_", " ")


def _without_places(statuses: pd.Series) -> list[str]:
    """Statuses without what differs from row to row: `diverged at step 12 (8 of 8 sets)` is `diverged`."""
    return [str(status).partition(":")[0].partition(" at step")[0].partition(" (")[0] for status in statuses]


def _absence(rows: pd.DataFrame, several: set[str]) -> TableRow:
    """A line for rows without a number that differ in setting, metric, layer, head and demonstration set only."""
    task, labels, k, model, weights, initialisation, method, rate, status = rows[_GROUP].iloc[0]
    layers = [ranges({int(layer) for layer in rows["layer"].dropna()})]
    if rows["layer"].isna().any():
        layers.append("over all")
    about = [str(name) for name in (weights, method) if pd.notna(name)] + ([] if pd.isna(rate) else [f"{rate:g}"])
    if "initialisation" in several and pd.notna(initialisation):
        about.insert(1, f"initialisation {int(initialisation)}")
    models = (str(model),) if "model" in several and pd.notna(model) else ()
    scored = {_scored(row): None for row in rows.dropna(subset="setting").to_dict("records")}
    entries = (
        Entry(", ".join(about) or "–", under=models),
        Entry(str(status)),
        Entry(" and ".join(filter(None, layers))),
        Entry(_metrics(rows), under=(", ".join(scored),)),
        Entry(f"{len(rows):,}"),
    )
    under = [f"{labels} labels"] if "labels" in several and pd.notna(labels) else []
    under += [f"k {int(k)}"] if "k" in several and pd.notna(k) else []
    return TableRow("–" if pd.isna(task) else str(task), entries, under=tuple(under))


def _scored(row: Mapping[Any, Any]) -> str:
    """The setting of a row, or of what is subtracted from it."""
    setting = Setting(row["setting"])
    return setting.words if pd.isna(row["versus"]) or setting != Setting.FT else Control(row["versus"]).setting.words


def _metrics(rows: pd.DataFrame) -> str:
    """Titles of metrics, a score and its specificity in one phrase."""
    titles = list(dict.fromkeys(_title(row) for row in rows.to_dict("records")))
    both = [title for title in titles if f"{title}{_SPECIFICITY}" in titles]
    plain = dict.fromkeys(title.removesuffix(_SPECIFICITY) for title in titles)
    if any(title not in titles for title in plain) or not both:
        return ", ".join(titles)
    alone = [title for title in plain if title not in both]
    text = f"{', '.join(both)}, with specificities"
    return f"{text}; {', '.join(alone)}" if alone else text


def _title(row: Mapping[Any, Any]) -> str:
    name = row["metric"]
    title = METRICS[name].title if name in METRICS else str(name).replace("_", " ")
    title += _SPECIFICITY * pd.notna(row["versus"])
    return " ".join(filter(None, (title, Reading(row["reading"]).words)))
