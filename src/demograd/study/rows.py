"""Rows of the results table: one score of one setting, over demonstration sets, per layer, and per set."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from demograd.columns import NOISE_CEILING
from demograd.metrics import METRICS, calibrated_correct, credit, resampled_auc
from demograd.observe import Observation
from demograd.statistics import (
    Aggregate,
    Interval,
    Over,
    aggregate,
    conditional_interval,
    conditional_intervals,
    diverged,
    interval_over_demonstrations,
    only,
    over_seeds,
    stack_seeds,
    statistic_intervals,
)

Row = dict[str, Any]

_MEANS: dict[str, Callable[[Observation], Tensor]] = {"accuracy": credit, "calibrated_accuracy": calibrated_correct}
"""Metrics of one number per observation that are a mean over queries; AUC and macro-F1 are not."""

# From how many demonstration sets on there is a spread (±) and an interval over them (method.md, "Aggregation").
SETS_FOR_SPREAD = 3


def similarity(
    seeds: Sequence[int], metric: str, scores: list[Tensor], *, chosen: list[Tensor] | None = None
) -> Iterator[Row]:
    """Rows of one score: over all demonstration sets, per layer, and per demonstration set.

    `scores` are [queries], [queries, layers], [queries, layers, heads], or [queries, layers, layers′] for a score of
    pairs of layers, whose rows are those pairs. `chosen` are masks of queries: the rows are then over these, and (but
    for pairs of layers) over all layers only.
    """
    bounds = bounds_of(metric)
    taken = scores if chosen is None else [score[mask] for score, mask in zip(scores, chosen, strict=True)]
    if metric in METRICS and METRICS[metric].per == "layer pair":
        yield from ({"metric": metric, **row} for row in _pairs(taken))
        return
    by_layer = scores[0].dim() > 1 and chosen is None
    scores, taken = ([one if one.dim() > 1 else one[:, None] for one in each] for each in (scores, taken))
    if chosen is not None:
        scores = [only(score, mask) for score, mask in zip(scores, chosen, strict=True)]
    stacked = stack_seeds(scores)
    wholes = [aggregate(score) for score in taken]
    yield {"metric": metric, **over_sets(wholes, stacked, bounds)}
    for layer in range(stacked.shape[2]) if by_layer else ():
        of_layer = [aggregate(score[:, layer : layer + 1]) for score in taken]
        yield {"metric": metric, "layer": layer, **over_sets(of_layer, stacked[:, :, layer : layer + 1], bounds)}
    for seed, whole, interval in zip(seeds, wholes, conditional_intervals(stacked), strict=True):
        status = {} if whole.status in ("ok", "missing") else {"status": whole.status}
        yield {
            "metric": metric,
            "seed": seed,
            "value": number(whole.value),
            "n": whole.n,
            "n_missing": whole.n_missing,
            "n_seeds": 1,
            **status,
            **shown(interval, bounds),
        }


def _pairs(scores: list[Tensor]) -> Iterator[Row]:
    """A row per pair of layers; no interval, for there are as many pairs as layers squared."""
    means = torch.stack(
        [torch.where(score.isinf().any(dim=0), torch.inf, score.double().nanmean(dim=0)) for score in scores]
    )
    asked = sum(map(len, scores))
    for layer, other in product(*map(range, means.shape[1:])):
        over = over_seeds(means[:, layer, other].tolist())
        missing = sum(int((~score[:, layer, other].isfinite()).sum()) for score in scores)
        infinite = sum(int(score[:, layer, other].isinf().sum()) for score in scores)
        status = {"status": diverged(infinite, asked)} if infinite else {} if asked else {"status": "nothing selected"}
        yield {
            "layer": layer,
            "at": other,
            "value": number(over.mean),
            "std": over.std,
            "n": asked - missing,
            "n_missing": missing,
            "n_seeds": over.n,
            **status,
        }


Bounds = tuple[float, float]


def bounds_of(metric: str) -> Bounds:
    """Between which values a metric of the table, its specificity, or its noise ceiling, lies."""
    if metric.endswith(NOISE_CEILING):
        return (0.0, 1.0)
    low, high = METRICS[metric.removesuffix("_specificity")].bounds
    return (low - high, high - low) if metric.endswith("_specificity") else (low, high)


def over_sets(wholes: Sequence[Aggregate], stacked: Tensor, bounds: Bounds) -> Row:
    """One row over demonstration sets, from the mean of each and the scores [sets, queries, layers]."""
    over = over_seeds([whole.value for whole in wholes])
    interval = (
        interval_over_demonstrations(stacked) if len(wholes) >= SETS_FOR_SPREAD else conditional_interval(stacked)
    )
    # a status of its own: that no query counts is a finding, that all updates are too small is another
    nothing = all(whole.status == "nothing selected" for whole in wholes)
    n, n_missing, n_diverged = (
        sum(getattr(whole, name) for whole in wholes) for name in ("n", "n_missing", "n_diverged")
    )
    if n_diverged:  # the mean of what did not would be that of another, luckier sample
        return {"n": n, "n_missing": n_missing, "n_seeds": over.n, "status": diverged(n_diverged, n + n_missing)}
    return {
        "value": number(over.mean),
        "std": over.std,
        "n": n,
        "n_missing": n_missing,
        "n_seeds": over.n,
        **shown(interval, bounds),
        **({"status": "nothing selected"} if nothing else {}),
    }


def performance_metrics() -> list[str]:
    """The metrics of one setting's predictions, in the order of their rows."""
    return [*_means_over_queries(), *_whole_numbers()]


def _means_over_queries() -> dict[str, Callable[[Observation], Tensor]]:
    """Metric → its value per query."""
    per_query = {name: metric.function for name, metric in METRICS.items() if metric.per == "query"}
    return _MEANS | {name: per_query[name] for name in _of_predictions() if name in per_query}


def _whole_numbers() -> list[str]:
    """Metrics that are not a mean over queries: AUC, which has an interval, comes first."""
    names = [name for name in _of_predictions() if METRICS[name].per == "setting" and name not in _MEANS]
    return sorted(names, key=lambda name: name != "auc")


def _of_predictions() -> list[str]:
    return [name for name, metric in METRICS.items() if metric.arguments == ("observation",)]


def performance(seeds: Sequence[int], observed: list[Observation]) -> Iterator[Row]:
    """Accuracy and its relatives of one observation per demonstration set: over all sets, and per set."""
    over_all, *of_each = zip(*_performance(observed), strict=True)
    yield from over_all
    for seed, rows in zip(seeds, of_each, strict=True):
        yield from ({"seed": seed, **row} for row in rows)


def performance_over(observed: list[Observation]) -> Iterator[Row]:
    """Accuracy and its relatives over demonstration sets.

    Of one observation, which all sets may share (ZSL of one state of the weights), there is no deviation, the interval
    is over queries alone, and each query counts once.
    """
    yield from (rows[0] for rows in _performance(observed))


def _performance(observed: list[Observation]) -> Iterator[list[Row]]:
    """Per metric a row over all observations, and then one of each."""
    for metric, per_query in _means_over_queries().items():
        bounds, values = bounds_of(metric), torch.stack([per_query(one).double() for one in observed])
        wholes = [aggregate(row[:, None]) for row in values]
        rows = [over_sets(wholes, values[..., None], bounds)]
        for whole, interval in zip(wholes, conditional_intervals(values), strict=True):
            status = {"status": whole.status} if whole.n_diverged else {}
            rows.append(
                {
                    "value": number(whole.value),
                    "n": whole.n,
                    "n_missing": whole.n_missing,
                    "n_seeds": int(whole.n > 0),
                    **status,
                    **shown(interval, bounds),
                }
            )
        yield [{"metric": metric, **row} for row in rows]
    n_queries = len(observed[0].gold)
    unit: Over = "demonstrations" if len(observed) >= SETS_FOR_SPREAD else "queries"
    over_all, of_each = statistic_intervals(
        lambda number, chosen: resampled_auc(observed[number], chosen), len(observed), n_queries, over=unit
    )
    for metric in _whole_numbers():
        intervals = [over_all, *of_each] if metric == "auc" else [None] * (1 + len(observed))
        scores = [METRICS[metric].function(one) for one in observed]
        overs = [over_seeds(values) for values in (scores, *([score] for score in scores))]
        yield [
            {
                "metric": metric,
                "value": number(over.mean),
                "std": over.std,
                "n": n_queries * over.n,
                "n_missing": n_queries * over.n_missing,
                "n_seeds": over.n,
                **shown(interval, bounds_of(metric)),
            }
            for over, interval in zip(overs, intervals, strict=True)
        ]


def number(value: float) -> float | None:
    """What is missing is null in the table, never NaN; what is infinite, `as_table` calls diverged."""
    return None if math.isnan(value) else value


def shown(interval: Interval | None, bounds: Bounds) -> Row:
    """An interval's columns; stretched for few demonstration sets, it could pass what the metric can be."""
    if interval is None:
        return {}
    kind = "demonstrations" if interval.over == "demonstrations" else "conditional"
    # an interval rests on the sets that have a value, and so does any claim made from it
    low, high = max(interval.low, bounds[0]), min(interval.high, bounds[1])
    return {"n_seeds": interval.n_seeds, "ci_low": low, "ci_high": high, "interval": kind}
