"""Rows of the results table: one score of one setting, over demonstration sets, per layer, and per set."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

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
    per_layer,
    stack_seeds,
    statistic_intervals,
)
from demograd.words import Reading, Row

_MEANS: dict[str, Callable[[Observation], Tensor]] = {"accuracy": credit, "calibrated_accuracy": calibrated_correct}
"""Metrics of one number per observation that are a mean over queries; AUC and macro-F1 are not."""

BY_HEAD = ("sim_am_delta",)
"""Metrics that have rows of single heads too: the leading score of attention logits."""
_COUNTS = ("n", "n_missing", "n_diverged")

# From how many demonstration sets on there is a spread (±) and an interval over them.
SETS_FOR_SPREAD = 3


def similarity(
    seeds: Sequence[int], score: Row, values: list[Tensor], *, selections: list[Tensor] | None = None
) -> Iterator[Row]:
    """Rows of one score: over all demonstration sets, per layer, of some per head, and per demonstration set.

    `score` has the columns that name it: its metric, and what it is read from and against. `values` are [queries],
    [queries, layers], [queries, layers, heads], or [queries, layers, layers′] for a score of pairs of layers, whose
    rows are those pairs. `selections` are masks of queries: the rows are then over these, and (but for pairs of layers)
    over all layers only.
    """
    bounds = bounds_of(score)
    counted = values if selections is None else [value[mask] for value, mask in zip(values, selections, strict=True)]
    if METRICS[str(score.metric)].per == "layer pair":
        yield from (score | row for row in _pairs(counted))
        return
    by_layer = values[0].dim() > 1 and selections is None
    values, counted = (
        [value if value.dim() > 1 else value[:, None] for value in tensors] for tensors in (values, counted)
    )
    if selections is not None:
        values = [only(value, mask) for value, mask in zip(values, selections, strict=True)]
    stacked = stack_seeds(values)
    means = [aggregate(value) for value in counted]
    yield score | over_sets(means, stacked, bounds)
    for layer, layer_means in enumerate(zip(*map(per_layer, counted), strict=True) if by_layer else ()):
        yield replace(score, layer=layer) | over_sets(layer_means, stacked[:, :, layer : layer + 1], bounds)
    if score.metric in BY_HEAD and by_layer and values[0].dim() == 3:
        yield from (score | row for row in _heads(values))
    for seed, mean, interval in zip(seeds, means, conditional_intervals(stacked), strict=True):
        row = replace(
            score,
            seed=seed,
            value=number(mean.value),
            n=mean.n,
            n_missing=mean.n_missing,
            n_seeds=1,
            status=None if mean.status in ("ok", "missing") else mean.status,
        )
        yield row | shown(interval, bounds)


def _heads(values: list[Tensor]) -> Iterator[Row]:
    """A row per layer and head, over all demonstration sets; no interval, for there are as many as heads."""
    by_set = (per_layer(value.flatten(start_dim=1)) for value in values)  # a head is as good as a layer
    for (layer, head), means in zip(product(*map(range, values[0].shape[1:])), zip(*by_set, strict=True), strict=True):
        over = over_seeds([mean.value for mean in means])
        n, n_missing, n_diverged = (sum(getattr(mean, name) for mean in means) for name in _COUNTS)
        yield Row(
            layer=layer,
            head=head,
            value=None if n_diverged else number(over.mean),
            std=None if n_diverged else over.std,
            n=n,
            n_missing=n_missing,
            n_seeds=over.n,
            status=diverged(n_diverged, n + n_missing) if n_diverged else None,
        )


def _pairs(values: list[Tensor]) -> Iterator[Row]:
    """A row per pair of layers; no interval, for there are as many pairs as layers squared."""
    means = torch.stack(
        [torch.where(value.isinf().any(dim=0), torch.inf, value.double().nanmean(dim=0)) for value in values]
    )
    n_queries = sum(map(len, values))
    for layer, other in product(*map(range, means.shape[1:])):
        over = over_seeds(means[:, layer, other].tolist())
        missing = sum(int((~value[:, layer, other].isfinite()).sum()) for value in values)
        infinite = sum(int(value[:, layer, other].isinf().sum()) for value in values)
        yield Row(
            layer=layer,
            at=float(other),
            value=number(over.mean),
            std=over.std,
            n=n_queries - missing,
            n_missing=missing,
            n_seeds=over.n,
            status=diverged(infinite, n_queries) if infinite else None if n_queries else "nothing selected",
        )


Bounds = tuple[float, float]


def bounds_of(score: Row) -> Bounds:
    """Between which values a metric, its specificity, or another reading of it, lies."""
    if score.reading in (Reading.NOISE_CEILING, Reading.IDENTIFIED):
        return (0.0, 1.0)
    if score.reading in (Reading.SPECIFIC_SHARE, Reading.SHARE_OF_CEILING):
        return (-math.inf, math.inf)
    low, high = METRICS[str(score.metric)].bounds
    if score.versus is None:
        return (low, high)
    times = 2 if score.reading is Reading.DOUBLE_DIFFERENCE else 1
    return (times * (low - high), times * (high - low))


def over_sets(means: Sequence[Aggregate], stacked: Tensor, bounds: Bounds) -> Row:
    """One row over demonstration sets, from the mean of each and the scores [sets, queries, layers]."""
    over = over_seeds([mean.value for mean in means])
    n, n_missing, n_diverged = (sum(getattr(mean, name) for mean in means) for name in _COUNTS)
    if n_diverged:  # the mean of what did not would be that of another, luckier sample
        return Row(n=n, n_missing=n_missing, n_seeds=over.n, status=diverged(n_diverged, n + n_missing))
    interval = interval_over_demonstrations(stacked) if len(means) >= SETS_FOR_SPREAD else conditional_interval(stacked)
    # a status of its own: that no query counts is a finding, that all updates are too small is another
    nothing = all(mean.status == "nothing selected" for mean in means)
    row = Row(
        value=number(over.mean),
        std=over.std,
        n=n,
        n_missing=n_missing,
        n_seeds=over.n,
        status="nothing selected" if nothing else None,
    )
    return row | shown(interval, bounds)


def performance_metrics() -> list[str]:
    """The metrics of one setting's predictions, in the order of their rows."""
    return [*_means_over_queries(), *_whole_numbers()]


def _means_over_queries() -> dict[str, Callable[[Observation], Tensor]]:
    """Metric → its value per query."""
    per_query = {name: METRICS[name].function for name in _of_predictions() if METRICS[name].per == "query"}
    return _MEANS | per_query


def _whole_numbers() -> list[str]:
    """Metrics that are not a mean over queries: AUC, which has an interval, comes first."""
    names = [name for name in _of_predictions() if METRICS[name].per == "setting" and name not in _MEANS]
    return sorted(names, key=lambda name: name != "auc")


def _of_predictions() -> list[str]:
    return [name for name, metric in METRICS.items() if metric.arguments == ("observation",)]


def performance(seeds: Sequence[int], observed: list[Observation]) -> Iterator[Row]:
    """Accuracy and its relatives of one observation per demonstration set: over all sets, and per set."""
    over_all, *by_seed = zip(*_performance(observed), strict=True)
    yield from over_all
    for seed, rows in zip(seeds, by_seed, strict=True):
        yield from (replace(row, seed=seed) for row in rows)


def performance_over(observed: list[Observation]) -> Iterator[Row]:
    """Accuracy and its relatives over demonstration sets.

    Of one observation, which all sets may share (ZSL of one state of the weights), there is no deviation, the interval
    is over queries alone, and each query counts once.
    """
    yield from (rows[0] for rows in _performance(observed))


def _performance(observed: list[Observation]) -> Iterator[list[Row]]:
    """Per metric a row over all observations, and then one of each."""
    for metric, per_query in _means_over_queries().items():
        score = Row(metric=metric)
        bounds, values = bounds_of(score), torch.stack([per_query(observation).double() for observation in observed])
        means = [aggregate(row[:, None]) for row in values]
        rows = [score | over_sets(means, values[..., None], bounds)]
        for mean, interval in zip(means, conditional_intervals(values), strict=True):
            row = replace(
                score,
                value=number(mean.value),
                n=mean.n,
                n_missing=mean.n_missing,
                n_seeds=int(mean.n > 0),
                status=mean.status if mean.n_diverged else None,
            )
            rows.append(row | shown(interval, bounds))
        yield rows
    n_queries = len(observed[0].gold)
    unit: Over = "demonstrations" if len(observed) >= SETS_FOR_SPREAD else "queries"
    over_all, by_seed = statistic_intervals(
        lambda index, queries: resampled_auc(observed[index], queries), len(observed), n_queries, over=unit
    )
    for metric in _whole_numbers():
        intervals = [over_all, *by_seed] if metric == "auc" else [None] * (1 + len(observed))
        score, scores = Row(metric=metric), [METRICS[metric].function(observation) for observation in observed]
        overs = [over_seeds(values) for values in (scores, *([value] for value in scores))]
        yield [
            replace(
                score,
                value=number(over.mean),
                std=over.std,
                n=n_queries * over.n,
                n_missing=n_queries * over.n_missing,
                n_seeds=over.n,
            )
            | shown(interval, bounds_of(score))
            for over, interval in zip(overs, intervals, strict=True)
        ]


def number(value: float) -> float | None:
    """What is missing is null in the table, never NaN; what is infinite, `as_table` calls diverged."""
    return None if math.isnan(value) else value


def shown(interval: Interval | None, bounds: Bounds) -> Row:
    """An interval's columns; stretched for few demonstration sets, it could pass what the metric can be."""
    if interval is None:
        return Row()
    kind = "demonstrations" if interval.over == "demonstrations" else "conditional"
    # an interval rests on the sets that have a value, and so does any claim made from it
    low, high = max(interval.low, bounds[0]), min(interval.high, bounds[1])
    return Row(n_seeds=interval.n_seeds, ci_low=low, ci_high=high, interval=kind)
