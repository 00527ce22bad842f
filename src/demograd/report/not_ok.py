"""The numbers that are not there: counted by why, and listed by what they would have been."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.layer_chart import ranges
from demograd.report.performance import in_words

_GROUP = ["task", "weights", "method", "learning_rate", "status"]


@dataclass(frozen=True)
class Absence:
    """Rows of the results without a number, alike but for setting, metric, layer, head and demonstration set."""

    about: tuple[str, ...]
    """Task, weights, method, learning rate."""
    status: str
    layers: str
    metrics: str
    settings: str
    rows: int


@dataclass(frozen=True)
class Absences:
    """All rows of the results by status, and the absent ones in detail."""

    counts: tuple[tuple[str, int], ...]
    groups: tuple[Absence, ...]


def absences(results: pd.DataFrame) -> Absences:
    """What the status column says, for people."""
    counts = results["status"].astype(str).value_counts()
    groups = [_absence(rows) for _, rows in results[results["status"] != "ok"].groupby(_GROUP, dropna=False)]
    return Absences(tuple((str(status), int(n)) for status, n in counts.items()), tuple(groups))


def _absence(rows: pd.DataFrame) -> Absence:
    task, weights, method, rate, status = rows[_GROUP].iloc[0]
    layers = [ranges(sorted({int(layer) for layer in rows["layer"].dropna()}))]
    if rows["layer"].isna().any():
        layers.append("over all")
    about = (str(task), str(weights), "" if pd.isna(method) else str(method), "" if pd.isna(rate) else f"{rate:g}")
    return Absence(
        about=about,
        status=str(status),
        layers=" and ".join(filter(None, layers)),
        metrics=_metrics([str(name) for name in rows["metric"].unique()]),
        settings=", ".join(in_words(str(setting)) for setting in rows["setting"].unique()),
        rows=len(rows),
    )


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
