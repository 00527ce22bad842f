"""The score table: a row per method and weights, a column per score, specificity first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from demograd.columns import CONTROLS
from demograd.metrics import METRICS
from demograd.report.cell import NOT_MEASURED, Cell, cell
from demograd.report.variant import Variant, in_order, telling_fields, variant

LEADING = ("sim_aou", "sim_am_delta")
"""The scores that a reader sees first."""
SPECIFICITY = "_specificity"
"""What the results append to a metric's name for its difference from a control."""


@dataclass(frozen=True)
class Scores:
    """The numbers over all demonstration sets, layers, heads and steps."""

    cells: dict[tuple[Variant, str, str], Cell]
    """(variant, metric, setting) → cell."""

    def tuned(self, selection: str = "all") -> list[Variant]:
        """The variants with a fine-tuning method, in the order of tables."""
        return in_order(each for each, _, _ in self.cells if each.method is not None and each.selection == selection)

    def of(self, metric: str, setting: str) -> dict[Variant, Cell]:
        """One number of every variant that has it, in the order of tables."""
        found = {each: cell for (each, *what), cell in self.cells.items() if what == [metric, setting]}
        return {each: found[each] for each in in_order(found)}

    def get(self, of: Variant, metric: str, setting: str) -> Cell:
        """A variant's number; one that does not depend on fine-tuning is found whatever the method.

        A specificity that is not there says why the scores under it are not.
        """
        found = self.cells.get((of, metric, setting)) or self.cells.get((of.untuned, metric, setting))
        if found or not metric.endswith(SPECIFICITY):
            return found or NOT_MEASURED
        parts = [self.get(of, metric.removesuffix(SPECIFICITY), each) for each in ("FT", setting)]
        why = next((part.status for part in parts if part.status != "ok"), NOT_MEASURED.status)
        return replace(NOT_MEASURED, status=why)


@dataclass(frozen=True)
class Column:
    """One column of the score table."""

    metric: str
    """As the results name it."""
    setting: str
    title: str
    against: str = ""
    """The control that a specificity is against."""

    @property
    def name(self) -> str:
        """The whole heading in one line."""
        return f"{self.title} specificity vs {self.against}" if self.against else self.title


def overall(results: pd.DataFrame) -> Scores:
    """The overall numbers of a results table; not those of a network alone, at some value of `at`, or of a method over
    several rates."""
    at_one_rate = results["method"].isna() | results["learning_rate"].notna()
    everywhere = results[["seed", "layer", "head", "step", "at"]].isna().all(axis=1)
    whole = results[everywhere & at_one_rate & results["task"].notna()]
    return Scores({(variant(row), row["metric"], row["setting"]): cell(row) for row in whole.to_dict("records")})


def columns(scores: Scores) -> dict[str, list[Column]]:
    """The score table's columns that were measured, in groups: specificity leads, plain scores follow."""
    similarities = [name for name, metric in METRICS.items() if metric.kind == "similarity" and metric.has_layers]
    of_ft = [name for name in similarities if METRICS[name].arguments == ("zsl", "icl", "ft")]
    others = [name for name in of_ft if name not in LEADING]
    groups = {
        "Specificity": _specificities(LEADING),
        "Attention outputs": [_of_ft(name) for name in of_ft if "aou" in name],
        "Attention logits": [_of_ft(name) for name in of_ft if "sim_am" in name],
        "What is predicted": [
            _of_ft("rec2ftp"),
            Column("rec2ftp_base_rate", "ICL", METRICS["rec2ftp_base_rate"].title),
            *(_of_ft(name) for name in ("token_overlap", "overlap_cosine_similarity")),
        ],
        "Size of the updates": [
            Column("update_size_ratio", "FT", "‖u_FT‖ / ‖u_ICL‖"),
            Column("relative_update_size", "ICL", "update size, ICL"),
            Column("relative_update_size", "FT", "update size, FT"),
        ],
        "Random baselines": [
            Column(name, "ICL", METRICS[name].title)
            for name in similarities
            if METRICS[name].arguments == ("zsl", "icl")
        ],
        "Specificity of the other forms of SimAOU": _specificities([name for name in others if "aou" in name]),
        "Specificity of the other forms of SimAM": _specificities([name for name in others if "sim_am" in name]),
    }
    # a score that diverged has no specificity, but a column that says so
    measured = {(metric.removesuffix(SPECIFICITY), setting) for _, metric, setting in scores.cells}
    present = {
        title: [column for column in group if (column.metric.removesuffix(SPECIFICITY), column.setting) in measured]
        for title, group in groups.items()
    }
    return {title: group for title, group in present.items() if group}


def score_table(results: pd.DataFrame) -> pd.DataFrame:
    """What a terminal or a notebook shows: formatted text, a row per method × weights, specificity first.

    A cell reads `0.003 ± 0.010 [−0.010, 0.015]`, or says why there is no number. Numbers to compute with are in
    `results` itself.
    """
    scores = overall(results)
    rows = scores.tuned()
    shown = telling_fields(rows, always=("method", "weights"))
    table: dict[str, list[Any]] = {name.replace("_", " "): [row.texts[name] for row in rows] for name in shown}
    for column in (column for group in columns(scores).values() for column in group):
        cells = [scores.get(row, column.metric, column.setting) for row in rows]
        table[column.name] = [f"{each.text} {each.bounds}{' conditional' * each.marked}".strip() for each in cells]
    return pd.DataFrame(table)


def _of_ft(name: str) -> Column:
    return Column(name, "FT", METRICS[name].title)


def _specificities(names: Sequence[str]) -> list[Column]:
    return [
        Column(name + SPECIFICITY, setting, METRICS[name].title, control)
        for name in names
        for setting, control in CONTROLS.items()
    ]
