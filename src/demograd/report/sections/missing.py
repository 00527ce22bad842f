"""The missing numbers: counted by status, and listed by task, method, metric and layer."""

from collections.abc import Sequence

import pandas as pd

from demograd.columns import CONTROLS
from demograd.metrics import METRICS
from demograd.report.numbers import ranges
from demograd.report.run import Run
from demograd.report.section import Entry, Group, Head, Row, Section, Table, section

_GROUP = ["task", "k", "model", "weights", "method", "learning_rate", "status"]
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


@section("What is missing", order=1000)
def missing(run: Run) -> Section:
    """The status column for people."""
    results = run.results
    counts = results["status"].astype(str).value_counts()
    statuses = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    several = {name for name in ("k", "model") if results[name].nunique() > 1}
    rows = tuple(
        _absence(group, several) for _, group in results[results["status"] != "ok"].groupby(_GROUP, dropna=False)
    )
    folded = f"{len(rows)} kinds of numbers are missing" if len(rows) > FEW else ""
    tables = (Table(_HEADS, (Group("", rows),), folded=folded),) if rows else ()
    return Section(tables, f"Of the {len(results):,} rows of the results: {statuses}.")


def _absence(rows: pd.DataFrame, several: set[str]) -> Row:
    """Rows without a number, alike but for setting, metric, layer, head and demonstration set."""
    task, k, model, weights, method, rate, status = rows[_GROUP].iloc[0]
    layers = [ranges({int(layer) for layer in rows["layer"].dropna()})]
    if rows["layer"].isna().any():
        layers.append("over all")
    about = [str(name) for name in (weights, method) if pd.notna(name)] + ([] if pd.isna(rate) else [f"{rate:g}"])
    models = (str(model),) if "model" in several and pd.notna(model) else ()
    settings = ", ".join(_setting_words(str(setting)) for setting in rows["setting"].dropna().unique())
    entries = (
        Entry(", ".join(about) or "–", under=models),
        Entry(str(status)),
        Entry(" and ".join(filter(None, layers))),
        Entry(_metrics([str(name) for name in rows["metric"].unique()]), under=(settings,)),
        Entry(f"{len(rows):,}"),
    )
    under = (f"k {int(k)}",) if "k" in several and pd.notna(k) else ()
    return Row("–" if pd.isna(task) else str(task), entries, under=under)


def _setting_words(setting: str) -> str:
    """`FT on permuted labels`."""
    return f"FT on {CONTROLS[setting]}" if setting in CONTROLS else setting


def _metrics(names: Sequence[str]) -> str:
    """Titles; a score and its specificity in one."""
    plain = list(dict.fromkeys(name.removesuffix("_specificity") for name in names))
    if any(name not in names for name in plain) or len(plain) == len(names):
        return ", ".join(map(_title, names))
    both = [name for name in plain if f"{name}_specificity" in names]
    alone = [name for name in plain if name not in both]
    text = f"{', '.join(map(_title, both))}, with specificities"
    return f"{text}; {', '.join(map(_title, alone))}" if alone else text


def _title(metric: str) -> str:
    name = metric.removesuffix("_specificity")
    title = METRICS[name].title if name in METRICS else name.replace("_", " ")
    return f"{title} specificity" if name != metric else title
