"""What a study can ask for: measures, groups of metrics that a paper's table or figure needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from demograd.metrics import METRICS, Metric
from demograd.observe import Extra

if TYPE_CHECKING:
    from demograd.study.language_model.spec import Study

_ALWAYS = ("size", "performance")
"""Measures of every study: they name no measure of a study's file."""
_OBSERVED = {"zsl", "icl", "ft", "other", "a", "b"}
"""Arguments of metrics that are observations of a cell; `other` and `b` are FT, `a` is ICL."""
_TUNED = {"ft", "other", "b"}
_OF_DEMONSTRATIONS = {"spans", "training_queries"}


@dataclass(frozen=True)
class Measure:
    """A group of metrics."""

    name: str
    about: str
    version: int = 1
    """Raised when a change of the code that belongs to the measure, and to none of its metrics, changes what a cell
    holds."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of `demograd list metrics`; none: what the measure's rows of the results are called is no metric of
        FT."""
        return tuple(name for name, metric in METRICS.items() if metric.measure == self.name)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "similarity",
            "SimAOU and SimAM in all their forms, their specificity and random baselines, and Rec2FTP",
            version=2,
        ),
        Measure("alpha", "α: how alike GD's and LCGD's changes of attention are (Deutch 2024, §B.1)"),
        Measure("layer_by_layer", "SimAOU of each layer of ICL with each layer of FT (Deutch 2024, §7)"),
        Measure("attention_to_demonstrations", "whether ICL and FT attend to the same demonstrations (Dai 2023)"),
        Measure(
            "reordering",
            "ICL with the same demonstrations in another order, as the reference beside every score of FT",
            version=2,
        ),
        Measure("output_overlap", "whether ICL and FT find the same next tokens most probable (Shen 2023)"),
        Measure("order_sensitivity", "spread of the output over orders of the demonstrations (Shen 2023)"),
        Measure(
            "implicit_update",
            "the update that the linear dual form of attention would make, and whether that form is valid here "
            "(Dai 2023)",
        ),
        Measure("sparsity", "share of small weights in the attention matrices (Shen 2023)"),
        Measure("training_time", "how far the parameters of the checkpoints are from the last one's (Shen 2023)"),
    )
}
"""Name → measure, of this package."""
NETWORK_MEASURES = {"sparsity": "sparsity_ratio", "training_time": "parameter_distance"}
"""Measure of networks alone → its metric."""
NOT_IN_CELLS = ("reordering", *NETWORK_MEASURES)
"""Measures of ICL in another order, or of networks alone: no cell of FT holds anything of them."""


def measures() -> dict[str, Measure]:
    """Name → measure: this package's, and those that the metrics of other packages and of scripts name."""
    added: dict[str, list[str]] = {}
    for metric in METRICS.values():
        if metric.measure not in MEASURES and metric.measure not in _ALWAYS:
            added.setdefault(metric.measure, []).append(metric.title)
    return MEASURES | {name: Measure(name, ", ".join(titles)) for name, titles in added.items()}


def is_asked(study: Study, metric: str) -> bool:
    """Whether a study's measures ask for a metric."""
    return metric in METRICS and METRICS[metric].measure in study.measures


def is_measured(study: Study, metric: str) -> bool:
    """Whether a study has a metric: it is asked for, or always measured."""
    return metric in measured_metrics(study)


def measured_metrics(study: Study) -> tuple[str, ...]:
    """All metrics of a study."""
    return _of_measures((*study.measures, *_ALWAYS), METRICS.n_changes)


@lru_cache(maxsize=64)
def _of_measures(measures: tuple[str, ...], n_changes: int) -> tuple[str, ...]:
    """The metrics of these measures, as they are after so many changes; keys of units ask for them again and again."""
    return tuple(name for name, metric in METRICS.items() if metric.measure in measures)


def metrics_of_fine_tuning(study: Study) -> list[str]:
    """The metrics that look at FT, or at FT on a control, and that one cell can tell."""
    return [
        name
        for name in measured_metrics(study)
        if _TUNED & {*METRICS[name].arguments}
        and {*METRICS[name].arguments} <= _OBSERVED
        and METRICS[name].group not in ("performance", "weights")  # kept as label scores; of networks alone
    ]


def metrics_of_demonstrations(study: Study) -> list[str]:
    """The metrics that have a meaning only where FT saw the demonstrations of ICL: controls have none of them."""
    return [name for name in measured_metrics(study) if _OF_DEMONSTRATIONS & {*METRICS[name].arguments}]


def matched_metrics(study: Study) -> list[str]:
    """The metrics of matching: those that compare FT with ICL, query by query.

    Not of pairs of layers, which are as many values as layers squared for every pair of sets; nor the implicit update,
    whose sums over demonstrations belong to one context.
    """
    names = metrics_of_fine_tuning(study)
    return [name for name in names if is_matched(METRICS[name])] if study.matching else []


def is_matched(metric: Metric) -> bool:
    """Whether matching has the metric."""
    arguments = {*metric.arguments}
    compares = bool({"icl", "a"} & arguments) and bool({"ft", "b"} & arguments)
    return compares and metric.per in ("head", "layer", "query") and metric.group not in ("implicit_update", "size")


def extras_of(metrics: Iterable[str], setting: str) -> frozenset[Extra]:
    """What the observation of a setting must have besides for these metrics."""
    kind = setting.partition("_")[0]  # a control's is what FT's is
    return frozenset(extra for name in metrics for extra in METRICS[name].extras.get(kind, ()))


def takes_reordered_icl(metric: Metric) -> bool:
    """Whether ICL under another order can take FT's place: it has all that is recorded of FT, and the metric is not
    about keys and values that FT changed."""
    recorded, needed = (set(metric.extras.get(setting, ())) for setting in ("ICL", "FT"))
    return metric.group != "implicit_update" and needed <= recorded


def versions(study: Study) -> dict[str, int | str]:
    """The versions of every measure that the study asks for, and of every metric that its cells and observations may
    then hold or record for: what changes them is another version, or another name here.

    Others of the measure `performance` are computed anew whenever the table is written.
    """
    computed = {*metrics_of_fine_tuning(study), *metrics_of_demonstrations(study)}
    metrics = {
        name
        for name in measured_metrics(study)
        if name in computed or METRICS[name].measure != "performance" or METRICS[name].extras
    }
    all_measures = measures()
    return {
        **{f"measure {name}": all_measures[name].version for name in sorted(study.measures)},
        **{f"metric {name}": METRICS[name].version_in_keys for name in sorted(metrics)},
    }
