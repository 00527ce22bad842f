"""What a study can measure, in groups: what a paper's table or figure needs, and what must be recorded for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demograd.metrics import METRICS
from demograd.observe import Extra

if TYPE_CHECKING:
    from demograd.study.schema import Study

_OF_FT = ({"zsl", "icl", "ft"}, {"zsl", "other"}, {"a", "b"})
"""What the metrics take that compare FT with ICL, or tell how large its update is."""


@dataclass(frozen=True)
class Measure:
    """One group of metrics."""

    metrics: tuple[str, ...]
    """Names of `demograd list metrics`; none: what the group's rows of the results are called is no metric of FT."""
    about: str
    extras: Mapping[str, tuple[Extra, ...]] = field(default_factory=dict)
    """Setting (ZSL, ICL, FT) → what its observation must have besides."""
    version: int = 1
    """Raised when a change of the code that belongs to the group, and to none of its metrics, changes what a cell
    holds."""


_DISTRIBUTION: dict[str, tuple[Extra, ...]] = {"ICL": ("next_token_log_probs",), "FT": ("next_token_log_probs",)}

MEASURES: dict[str, Measure] = {
    "similarity": Measure(
        (
            "sim_aou",
            "sim_aou_norm",
            "sim_aou_mean_removed",
            "sim_aou_norm_mean_removed",
            "sim_am",
            "sim_am_delta",
            "sim_am_centred",
            "sim_am_delta_centred",
            "random_sim_aou",
            "random_sim_aou_centred",
            "random_sim_aou_minus_zsl",
            "random_sim_aou_mean_removed",
            "rec2ftp",
            "rec2ftp_base_rate",
            "rec2ftp_above_base_rate",
        ),
        "SimAOU and SimAM in all their forms, their specificity and random baselines, and Rec2FTP",
    ),
    "alpha": Measure(("alpha",), "α: how alike GD's and LCGD's changes of attention are (Deutch 2024, §B.1)"),
    "layer_by_layer": Measure(
        ("layer_by_layer_sim_aou",), "SimAOU of each layer of ICL with each layer of FT (Deutch 2024, §7)"
    ),
    "attention_to_demonstrations": Measure(
        tuple(
            f"{kind}attention_{what}_by_{unit}"
            for kind in ("", "random_")
            for what in ("kendall", "recall")
            for unit in ("token", "demonstration")
        ),
        "whether ICL and FT attend to the same demonstrations (Dai 2023)",
        {"ICL": ("context_logits",), "FT": ("query_vectors",)},
    ),
    "reordering": Measure(
        (), "ICL with the same demonstrations in another order, as the reference beside every score of FT"
    ),
    "output_overlap": Measure(
        ("token_overlap", "overlap_cosine_similarity"),
        "whether ICL and FT find the same next tokens most probable (Shen 2023)",
        _DISTRIBUTION,
    ),
    "order_sensitivity": Measure(
        ("order_sensitivity",), "spread of the output over orders of the demonstrations (Shen 2023)", _DISTRIBUTION
    ),
    "implicit_update": Measure(
        ("implicit_update", "implicit_update_weighted", "implicit_update_validity"),
        "the update that the linear dual form of attention would make, and whether that form is valid here (Dai 2023)",
        {
            "ZSL": ("value_key_products", "weighted_value_key_products", "head_outputs"),
            "ICL": (
                "context_value_key_products",
                "weighted_context_value_key_products",
                "head_outputs",
                "rotated_query_vectors",
            ),
            "FT": ("value_key_products", "weighted_value_key_products"),
        },
    ),
    "sparsity": Measure(("sparsity_ratio",), "share of small weights in the attention matrices (Shen 2023)"),
    "training_time": Measure(
        ("parameter_distance",), "how far the parameters of the checkpoints are from the last one's (Shen 2023)"
    ),
}
"""Name → group. A measure of one's own is one more entry, and its metrics are entries of `METRICS`."""
NETWORK_MEASURES = {"sparsity": "sparsity_ratio", "training_time": "parameter_distance"}
"""Measure of networks alone → its metric."""
NOT_IN_CELLS = ("reordering", *NETWORK_MEASURES)
"""Measures of ICL in another order, or of networks alone: no cell of FT holds anything of them."""


def metrics_of_fine_tuning(study: Study) -> list[str]:
    """The metrics that look at FT and that one cell can tell."""
    asked = {name for measure in study.measures for name in MEASURES[measure].metrics}
    return [
        name
        for name, metric in METRICS.items()
        if set(metric.arguments) in _OF_FT
        and metric.kind not in ("performance", "weights")  # kept as label scores; of networks alone (networks.py)
        and (name in asked or metric.kind == "size")
    ]


def versions(study: Study) -> dict[str, int]:
    """Of every measure that the study asks for, and of every metric that its cells may then hold: what changes them is
    another version, or another name here."""
    metrics = {name for measure in study.measures for name in MEASURES[measure].metrics if name in METRICS}
    metrics.update(metrics_of_fine_tuning(study))
    return {
        **{f"measure {name}": MEASURES[name].version for name in sorted(study.measures)},
        **{f"metric {name}": METRICS[name].version for name in sorted(metrics)},
    }
