"""A score, seed by seed, wherever in a run folder it is kept or from whatever it follows."""

from collections.abc import Callable

import torch
from torch import Tensor

from demograd.metrics import METRICS, compute, credit, median_size_ratio
from demograd.statistics import common_sizes, mean_over_heads
from demograd.study.language_model.groups import CellGroup, WorldGroup
from demograd.study.language_model.measures import metrics_of_fine_tuning, takes_reordered_icl
from demograd.study.language_model.spec import Study
from demograd.words import Setting

Scores = list[Tensor]
"""Per seed: [queries], [queries, layers], [queries, layers, heads] or [queries, layers, layers′]."""


def untuned_scores(untuned: WorldGroup, setting: str, metric: str) -> Scores | None:
    """A score of ZSL, ICL, or ICL with reordered demonstrations; None where it was not measured."""
    if metric == "gain_in_accuracy":  # of ICL on ZSL
        return [credit(icl) - credit(zsl) for zsl, icl in zip(untuned.zsl, untuned.icl, strict=True)]
    if _is_of_icl(setting, metric):
        zsls, icls = untuned.with_extras() if METRICS[metric].extras else (untuned.zsl, untuned.icl)
        return [
            compute([metric], {"zsl": zsl, "icl": icl, "other": icl}, seed)[metric]
            for zsl, icl, seed in zip(zsls, icls, untuned.seeds, strict=True)
        ]
    return untuned.scores(setting, metric) if untuned.has_orders else None


def has_untuned_scores(study: Study, setting: str, metric: str) -> bool:
    """Whether the study measures such a score wherever nothing fails."""
    if setting == Setting.ICL_REORDERED:
        has_reordering = "reordering" in study.measures and metric in metrics_of_fine_tuning(study)
        return has_reordering and takes_reordered_icl(METRICS[metric])
    if metric == "order_sensitivity":
        return setting == Setting.ICL and metric in study.measures
    return metric == "gain_in_accuracy" or _is_of_icl(setting, metric)


def _is_of_icl(setting: str, metric: str) -> bool:
    """Whether a metric's score follows from ZSL and ICL alone."""
    if setting != Setting.ICL or metric not in METRICS:
        return False
    return {*METRICS[metric].arguments} <= {"zsl", "icl", "other"}


def tuned_scores(group: CellGroup, setting: str, metric: str, step: int | None = None) -> Scores | None:
    """A score of FT or a control, after a step or (None) at the end; None where it was not measured, or FT diverged."""
    if any(status != "ok" for status in group.status(setting, step)):
        return None
    untuned = group.untuned
    if metric in METRICS and METRICS[metric].group == "performance" and "ft" in METRICS[metric].arguments:
        if setting == Setting.FT_OTHER_SETS:
            return None
        predicted = zip(untuned.zsl, untuned.icl, group.predicted(setting, step), strict=True)
        return [compute([metric], {"zsl": zsl, "icl": icl, "ft": ft})[metric] for zsl, icl, ft in predicted]
    if metric == "alpha":
        return _alpha(group) if setting == Setting.FT and step is None else None
    return group.scores(setting, metric, step)


def what_diverged(group: CellGroup, setting: str, metric: str) -> str:
    """`LCGD diverged at step 3 (…) (2 of 5 demonstration sets)`: what of a score diverged; empty: nothing."""
    needed = [(group, group.status(setting))]
    if metric == "order_sensitivity":
        needed.append((group, group.order_status()))
    if metric == "alpha":
        gd = partner(group)
        needed = [] if gd is None else [*needed, (gd, gd.status(Setting.FT))]
    for source, statuses in needed:
        diverged = [status for status in statuses if status != "ok"]
        if diverged:
            return f"{source.cell.method} {diverged[0]} ({len(diverged)} of {len(statuses)} demonstration sets)"
    return ""


def partner(group: CellGroup) -> CellGroup | None:
    """The study's first GD, which α compares LCGD with; None for other methods, or without one."""
    study = group.untuned.study
    if "alpha" not in study.measures or study.methods[group.cell.method]["kind"] != "LCGD":
        return None
    return next((rival for rival in group.untuned.groups if study.methods[rival.cell.method]["kind"] == "GD"), None)


def _alpha(group: CellGroup) -> Scores | None:
    gd = partner(group)
    if gd is None or any(status != "ok" for status in gd.status(Setting.FT)):
        return None
    observed = zip(group.untuned.zsl, gd.attending(), group.attending(), strict=True)
    return [METRICS["alpha"].function(*observations) for observations in observed]


def read_curve(
    curve: list[CellGroup], scores: Callable[[CellGroup], Scores | None], read: Callable[[Tensor, Tensor], Tensor]
) -> Scores | None:
    """What `read` makes of one method's curve: ‖u_FT‖ / ‖u_ICL‖ [rates, seeds] and scores [rates, seeds, queries, …].

    Rates are in ascending order; where FT diverged there is NaN. None where no rate has a score.
    """
    of_rates = [scores(group) for group in curve]
    shape = next((of_rate for of_rate in of_rates if of_rate is not None), None)
    if shape is None:
        return None
    whole = [
        of_rate if of_rate is not None else [torch.full_like(score, torch.nan) for score in shape]
        for of_rate in of_rates
    ]
    stacked = torch.stack([torch.stack([mean_over_heads(score.double()) for score in of_rate]) for of_rate in whole])
    return list(read(size_curve(curve), stacked))


def size_curve(curve: list[CellGroup]) -> Tensor:
    """‖u_FT‖ / ‖u_ICL‖ [rates, seeds], its median over queries and the layers that FT changes; NaN where FT
    diverged."""

    def sizes(group: CellGroup) -> list[float]:
        ratios = tuned_scores(group, Setting.FT, "update_size_ratio")
        return (
            [torch.nan] * len(group.cells) if ratios is None else [median_size_ratio([of_seed]) for of_seed in ratios]
        )

    return torch.tensor([sizes(group) for group in curve])


def size_range(curves: list[list[CellGroup]]) -> tuple[float, float]:
    """The smallest and the largest size that every curve reaches with every demonstration set; NaN where none."""
    return common_sizes([size_curve(curve) for curve in curves])


def common_size(curves: list[list[CellGroup]]) -> float:
    """One size that every curve reaches: 1 if they all do, else the middle (geometric) of the range that they share.
    NaN where they share none."""
    low, high = size_range(curves)
    return 1.0 if low <= 1 <= high else (low * high) ** 0.5
