"""What the model predicts in each setting: accuracy and its like, which show whether there is in-context learning."""

from dataclasses import dataclass

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.cell import Cell
from demograd.report.scores import CONTROLS, overall
from demograd.report.variant import Variant, in_order


@dataclass(frozen=True)
class Row:
    """One setting, and method where there is one."""

    name: str
    """`ICL`, `FT by GD`."""
    control: str
    """What FT was on instead of ICL's demonstrations; empty where it was on those, or there was none."""
    variant: Variant
    cells: tuple[Cell, ...]
    leads: bool
    """Whether another task, or other weights, begin here."""


@dataclass(frozen=True)
class Performance:
    """A table: a row per setting, method and weights."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]


def performance(results: pd.DataFrame) -> Performance:
    """Per task and weights: ZSL and ICL, then FT and its controls."""
    scores = overall(results)
    known = {metric for _, metric, _ in scores.cells}
    metrics = [name for name, metric in METRICS.items() if metric.kind == "performance" and name in known]
    settings = ("ZSL", "ICL", "FT", *CONTROLS)
    measured = {(of, setting) for of, metric, setting in scores.cells if metric in metrics and setting in settings}
    variants = in_order({of for of, _ in measured})
    rows = [
        Row(
            f"FT by {of.method}" if of.method else setting,
            f"on {CONTROLS[setting]}" if setting in CONTROLS else "",
            of,
            tuple(scores.get(of, name, setting) for name in metrics),
            leads=of == world and setting == "ZSL",
        )
        for world in in_order({of.untuned for of in variants})
        for of in variants
        if of.untuned == world
        for setting in settings
        if (of, setting) in measured
    ]
    return Performance(tuple(METRICS[name].title for name in metrics), tuple(rows))


def in_words(setting: str) -> str:
    """`FT on permuted labels`."""
    return f"FT on {CONTROLS[setting]}" if setting in CONTROLS else setting
