"""The metrics by name: what `demograd list metrics` shows and a study may ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Literal

from demograd.metrics import am, aou, mean_removed, performance, random_aou, update_size


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    function: Callable[..., Any]
    """Similarities and sizes return [queries, layers] or [queries, layers, heads]; performance a number, or
    [queries]."""
    title: str
    """As papers and reports write it."""
    definition: str
    """One line."""
    source: str
    kind: Literal["similarity", "size", "performance"]
    arguments: tuple[str, ...] = ("zsl", "icl", "ft")
    """The observations that `function` takes, in order."""
    has_heads: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values the metric lies: an interval is cut there."""
        if self.kind == "size":
            return 0.0, inf
        if self.kind == "similarity":
            return -1.0, 1.0
        return (-inf, 0.0) if "likelihood" in self.title else (0.0, 1.0)


_DAI, _DEUTCH, _OURS = "Dai 2023", "Deutch 2024", "demograd"
_ONE = ("observation",)

METRICS: dict[str, Metric] = {
    "sim_aou": Metric(
        aou.sim_aou,
        "SimAOU",
        "cos(h_ICL − h_ZSL, h_FT − h_ZSL), h being a layer's attention output at the query's last token",
        f"{_DAI} as corrected by {_DEUTCH}, §3.1",
        "similarity",
    ),
    "sim_aou_norm": Metric(
        aou.sim_aou_norm,
        "SimAOU_norm",
        "SimAOU after each h is divided by its norm; biased: unrelated updates score above zero",
        f"{_DAI}; {_DEUTCH}, §2.2 and §3.1",
        "similarity",
    ),
    "random_sim_aou": Metric(
        random_aou.random_sim_aou,
        "random SimAOU",
        "cos(h_ICL − h_ZSL, r), r uniform in [0, 1)",
        f"{_DAI}, as released",
        "similarity",
        ("zsl", "icl"),
    ),
    "random_sim_aou_centred": Metric(
        partial(random_aou.random_sim_aou, kind="centred"),
        "random SimAOU, centred",
        "cos(h_ICL − h_ZSL, r), r uniform in [−½, ½)",
        _OURS,
        "similarity",
        ("zsl", "icl"),
    ),
    "random_sim_aou_minus_zsl": Metric(
        partial(random_aou.random_sim_aou, kind="minus_zsl"),
        "random SimAOU, r − h_ZSL",
        "cos(h_ICL − h_ZSL, r − h_ZSL), r uniform in [0, 1)",
        f"{_DAI}; {_DEUTCH}, §2.2",
        "similarity",
        ("zsl", "icl"),
    ),
    "sim_aou_mean_removed": Metric(
        mean_removed.sim_aou_mean_removed,
        "SimAOU, mean removed",
        "SimAOU after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
    ),
    "sim_aou_norm_mean_removed": Metric(
        mean_removed.sim_aou_norm_mean_removed,
        "SimAOU_norm, mean removed",
        "SimAOU_norm after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
    ),
    "random_sim_aou_mean_removed": Metric(
        random_aou.random_sim_aou_mean_removed,
        "random SimAOU, mean removed",
        "random SimAOU after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
        ("zsl", "icl"),
    ),
    "sim_am": Metric(
        am.sim_am,
        "SimAM",
        "cos(m_ICL, m_FT) per head, m being the last token's attention logits over the query",
        f"{_DAI}; {_DEUTCH}, §2.3",
        "similarity",
        has_heads=True,
    ),
    "sim_am_delta": Metric(
        am.sim_am_delta,
        "SimAM_Δ",
        "cos(m_ICL − m_ZSL, m_FT − m_ZSL) per head",
        f"{_DEUTCH}, §3.2",
        "similarity",
        has_heads=True,
    ),
    "sim_am_centred": Metric(
        am.sim_am_centred,
        "SimAM_centred",
        "SimAM after each row's mean over tokens is subtracted: softmax ignores a constant",
        _OURS,
        "similarity",
        has_heads=True,
    ),
    "sim_am_delta_centred": Metric(
        am.sim_am_delta_centred,
        "SimAM_Δ_centred",
        "SimAM_Δ after each row's mean over tokens is subtracted",
        _OURS,
        "similarity",
        has_heads=True,
    ),
    "relative_update_size": Metric(
        update_size.relative_update_size,
        "update size",
        "‖h − h_ZSL‖ / ‖h_ZSL‖ of ICL or FT",
        _OURS,
        "size",
        ("zsl", "other"),
    ),
    "update_size_ratio": Metric(
        update_size.update_size_ratio,
        "update size ratio",
        "‖h_FT − h_ZSL‖ / ‖h_ICL − h_ZSL‖",
        _OURS,
        "size",
    ),
    "accuracy": Metric(
        performance.accuracy, "accuracy", "share of queries predicted right", "all", "performance", _ONE
    ),
    "macro_f1": Metric(
        performance.macro_f1, "macro-F1", "F1 averaged over classes, gold or predicted", "all", "performance", _ONE
    ),
    "auc": Metric(
        performance.auc,
        "AUC",
        "how often a query of a class scores above one that is not; one against the rest",
        "all",
        "performance",
        _ONE,
    ),
    "calibrated_accuracy": Metric(
        performance.calibrated_accuracy,
        "calibrated accuracy",
        "accuracy with the threshold at the median score; two classes only",
        "all",
        "performance",
        _ONE,
    ),
    "label_log_likelihood": Metric(
        performance.label_log_likelihood,
        "label log-likelihood",
        "mean log-probability of the gold label's tokens",
        "all",
        "performance",
        _ONE,
    ),
    "normalised_label_log_likelihood": Metric(
        performance.normalised_label_log_likelihood,
        "normalised label log-likelihood",
        "log-probability of the gold label among the label words",
        "all",
        "performance",
        _ONE,
    ),
}
"""Name → metric, in the order in which they are listed."""
