"""The numbers of a language model's run: by variant, metric and setting; as a table; as points of charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log
from typing import Any

import pandas as pd

from demograd.metrics import METRICS, Metric
from demograd.report.subject import Variant, in_order, telling_fields, variant, variants_of
from demograd.statistics.number import NOT_MEASURED, Number, number_of
from demograd.words import ALL_TASKS, Control, Reading, Setting

LEADING = ("sim_aou", "sim_am_delta")
"""The scores that a reader sees first."""
TABLES = ("Attention outputs", "Attention logits", "What is predicted", "Size of the updates", "Random baselines")
"""In their order on the page; those that only metrics of other packages name follow."""
NEAREST_RATE_NOTE = "Of several learning rates: the one whose update is nearest to ICL’s in size."


@dataclass(frozen=True)
class Scores:
    """The numbers over all demonstration sets, layers, heads and steps; of matching, the scores and the specificity."""

    numbers: dict[tuple[Variant, str, str], Number]
    """(variant, metric, setting) → number."""
    specificities: dict[tuple[Variant, str, Control], Number]
    """(variant, metric, control) → number."""
    ceilings: dict[tuple[Variant, str], Number]
    """(variant, metric) → the noise ceiling."""

    def tuned(self, selection: str = "all") -> list[Variant]:
        """The variants with a fine-tuning method, in the order of tables."""
        variants = (variant for variant, _, _ in self.numbers)
        return in_order(variant for variant in variants if variant.method and variant.selection == selection)

    def by_variant(self, metric: str, setting: str) -> dict[Variant, Number]:
        """One number of every variant that has it, in the order of tables."""
        numbers = {variant: number for (variant, *score), number in self.numbers.items() if score == [metric, setting]}
        return {variant: numbers[variant] for variant in in_order(numbers)}

    def get(self, variant: Variant, metric: str, setting: str) -> Number:
        """A variant's number; one that does not depend on fine-tuning is the same whatever the method."""
        number = self.numbers.get((variant, metric, setting)) or self.numbers.get((variant.untuned, metric, setting))
        return number or NOT_MEASURED

    def specificity(self, variant: Variant, metric: str, control: Control) -> Number:
        """A variant's specificity; one that is not there says why the scores under it are not."""
        if number := self.specificities.get((variant, metric, control)):
            return number
        parts = [self.get(variant, metric, setting) for setting in (Setting.FT, control.setting)]
        why = next((part.status for part in parts if part.status != "ok"), NOT_MEASURED.status)
        return replace(NOT_MEASURED, status=why)

    def column(self, variant: Variant, column: "Column") -> Number:
        """A variant's number in a column of the score table."""
        if column.versus is not None:
            return self.specificity(variant, column.metric, column.versus)
        number = self.get(variant, column.metric, column.setting)
        if number is NOT_MEASURED and column.setting == Setting.FT_OTHER_SETS:  # nothing was trained anew for it
            return replace(NOT_MEASURED, status=self.get(variant, column.metric, Setting.FT).status)
        return number


@dataclass(frozen=True)
class Column:
    """One column of the score table."""

    metric: str
    """As the results name it."""
    setting: Setting
    title: str
    versus: Control | None = None
    """The control that a specificity is against."""

    @property
    def name(self) -> str:
        """The whole heading in one line."""
        return ", ".join(filter(None, (self.title, self.under)))

    @property
    def under(self) -> str:
        """The second line of the heading."""
        if self.versus:
            return f"specificity vs {self.versus.words}"
        return "mismatched" if self.setting == Setting.FT_OTHER_SETS else ""


def overall(results: pd.DataFrame) -> Scores:
    """The overall numbers of a results table; not those of a network alone, at some value of `at`, or of a method over
    several rates."""
    at_one_rate = results["method"].isna() | results["learning_rate"].notna()
    return _scores(results[at_one_rate & results["task"].notna() & (results["task"] != ALL_TASKS)])


def overall_means(over_tasks: pd.DataFrame) -> Scores:
    """The overall numbers of rows that are means over tasks; of a method whose rate differs between tasks, too."""
    return _scores(over_tasks)


def _scores(rows: pd.DataFrame) -> Scores:
    whole = rows[rows[["seed", "layer", "head", "step", "at"]].isna().all(axis=1)]
    scores = Scores({}, {}, {})
    for row in whole.to_dict("records"):
        if row["reading"] == Reading.NOISE_CEILING:
            scores.ceilings[variant(row), row["metric"]] = number_of(row)
        elif row["reading"] == Reading.PLAIN and pd.notna(row["versus"]) and row["setting"] == Setting.FT:
            scores.specificities[variant(row), row["metric"], Control(row["versus"])] = number_of(row)
        elif row["reading"] == Reading.PLAIN and pd.isna(row["versus"]):
            scores.numbers[variant(row), row["metric"], row["setting"]] = number_of(row)
    return scores


def plain_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that are a score itself: no difference from a control, and nothing read between learning rates."""
    return results[results["versus"].isna() & (results["reading"] == Reading.PLAIN)]


def columns(scores: Scores) -> dict[str, list[Column]]:
    """The score table's columns that were measured, in groups: specificity leads, plain scores follow."""
    groups = {
        "Specificity": [column for name in LEADING for column in _against_controls(name)],
        **{title: [] for title in TABLES},
    }
    others: dict[str, list[str]] = {}
    for name, metric in METRICS.items():
        if metric.table is not None:
            groups.setdefault(metric.table, []).extend(_columns_of(name, metric))
            if metric.group == "similarity" and metric.has_layers and "ft" in metric.arguments and name not in LEADING:
                others.setdefault(metric.table, []).append(name)
    for table, names in others.items():
        groups[f"Specificity, {table[0].lower()}{table[1:]}"] = [
            column for name in names for column in _against_controls(name)
        ]
    # a score that diverged has no specificity, but a column that says so
    measured = {(metric, setting) for _, metric, setting in scores.numbers}
    measured |= {(metric, control.setting) for _, metric, control in scores.specificities}
    present = {
        title: [column for column in group if (column.metric, _scored(column)) in measured]
        for title, group in groups.items()
    }
    return {title: group for title, group in present.items() if group and not _is_alone(title, group)}


def _is_alone(title: str, group: Sequence[Column]) -> bool:
    """Whether a group of specificities has nothing that FT is held against."""
    return title.startswith("Specificity") and all(column.name == column.title for column in group)


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
        numbers = [scores.column(row, column) for row in rows]
        table[column.name] = [
            f"{number.text} {number.bounds}{' conditional' * number.marked}".strip() for number in numbers
        ]
    return pd.DataFrame(table)


def _columns_of(name: str, metric: Metric) -> list[Column]:
    """A metric's columns: of FT, of ICL where it looks at no FT, or of both."""
    if "other" in metric.arguments:
        return [Column(name, setting, f"{metric.title}, {setting}") for setting in (Setting.ICL, Setting.FT)]
    is_tuned = {"ft", "b"} & {*metric.arguments}
    return [Column(name, Setting.FT if is_tuned else Setting.ICL, metric.title)]


def _against_controls(name: str) -> list[Column]:
    """A metric matched and mismatched, and its specificities; with no control the score alone is no column here."""
    title = METRICS[name].title
    scores = [Column(name, setting, title) for setting in (Setting.FT, Setting.FT_OTHER_SETS)]
    return [*scores, *(Column(name, Setting.FT, title, control) for control in Control)]


def _scored(column: Column) -> Setting:
    """The setting whose score shows that a column was measured."""
    return column.versus.setting if column.versus else column.setting


def at_one_rate(scores: Scores) -> dict[Variant, bool]:
    """The variants for figures that cannot show all rates, each with whether it stands for several: the one nearest to
    ‖u_FT‖ / ‖u_ICL‖ = 1."""

    def distance(variant: Variant) -> float:
        ratio = scores.get(variant, "update_size_ratio", "FT").value
        return abs(log(ratio)) if ratio else inf

    rivals: dict[tuple[object, ...], list[Variant]] = {}
    for rival in scores.tuned():
        about = (rival.task, rival.labels, rival.k, rival.model, rival.method, rival.weights, rival.initialisation)
        rivals.setdefault(about, []).append(rival)
    return {min(variants, key=distance): len(variants) > 1 for variants in rivals.values()}


def points(results: pd.DataFrame, metric: str, setting: str = "FT") -> pd.DataFrame:
    """A metric over all demonstration sets and queries, in all detail: columns variant, layer, at, value, low, high,
    conditional."""
    rows = plain_rows(results)
    rows = rows[
        (rows["metric"] == metric)
        & (rows["setting"] == setting)
        & rows[["seed", "head", "step"]].isna().all(axis=1)
        & (rows["selection"] == "all")
        & rows["task"].notna()
    ]
    columns = {"value": "value", "low": "ci_low", "high": "ci_high"}
    return pd.DataFrame(
        {
            "variant": variants_of(rows),
            "layer": rows["layer"].to_numpy(),
            "at": rows["at"].to_numpy(),
            **{name: rows[column].to_numpy(dtype=float, na_value=float("nan")) for name, column in columns.items()},
            "conditional": (rows["interval"] == "conditional").to_numpy(),
        }
    )


def points_by_layer(results: pd.DataFrame, metric: str, labels: Mapping[Variant, str]) -> pd.DataFrame:
    """The points of these variants in each layer, as `line_chart` takes them: x is the layer, y the value."""
    chosen = points(results, metric).dropna(subset=["layer"])
    chosen = chosen[chosen["variant"].isin(list(labels))]
    names = [labels[variant] for variant in chosen["variant"]]
    return chosen.assign(label=names, x=chosen["layer"].astype(float), y=chosen["value"])
