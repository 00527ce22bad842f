"""Scores averaged over tasks, as the column *Average* of Deutch 2024, Table 2, and by layer, as its Figure 3."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from statistics import fmean, stdev
from typing import NamedTuple

from torch import Tensor

from demograd.metrics import METRICS
from demograd.statistics import (
    Aggregate,
    EstimatedMean,
    Over,
    aggregate,
    diverged,
    mean_over_seeds,
    over_seeds,
    per_layer,
    stack_seeds,
)
from demograd.statistics.estimated_mean import mean_of_independent
from demograd.study.language_model.grid import World
from demograd.study.language_model.groups import CellGroup
from demograd.study.language_model.measures import metrics_of_fine_tuning
from demograd.study.language_model.scores import tuned_scores
from demograd.study.language_model.spec import Study
from demograd.study.rows import SETS_FOR_SPREAD, bounds_of, shown
from demograd.study.spec.methods import options_json
from demograd.words import ALL_TASKS, Labels, Row, Setting, Weights

SETTINGS = (Setting.FT, Setting.FT_OTHER_SETS)
"""Matched and mismatched."""
_COUNTS = ("n", "n_missing", "n_diverged")


class Subject(NamedTuple):
    """What is averaged over tasks."""

    model: str
    weights: Weights
    initialisation: int
    labels: Labels
    k: int
    method: str


class Score(NamedTuple):
    """Names a score of a subject on a task."""

    setting: Setting
    metric: str
    layer: int | None


@dataclass(frozen=True)
class ScoreOfTask:
    """A score on one task."""

    of_sets: list[float]
    """The mean of each demonstration set; NaN where missing, infinite where diverged."""
    estimate: EstimatedMean | None
    """Their mean; None where too few have a value for an interval, or one diverged."""
    n: int
    n_missing: int
    n_diverged: int


@dataclass(frozen=True)
class _Task:
    """A subject on one task at one learning rate."""

    status: str
    """`ok`, or why there are no scores."""
    scores: Mapping[Score, ScoreOfTask]


@dataclass
class ScoresOverTasks:
    """What fine-tuning scores on each task, gathered task by task, since a group's observations do not stay."""

    study: Study
    _tasks: dict[Subject, dict[str, dict[float, _Task]]] = field(default_factory=lambda: defaultdict(dict))
    """Subject → task → learning rate → its scores."""

    def add(self, group: CellGroup, world_status: str = "ok") -> None:
        """Add a method at one rate on one task; `world_status`: why the world was not observed, or `ok`."""
        if len(self.study.tasks) < 2:
            return
        statuses = [world_status] if world_status != "ok" else group.status(Setting.FT)
        status = next((status for status in statuses if status != "ok"), "ok")
        cell = group.cell
        of_task = self._tasks[_subject(cell.world, cell.method)].setdefault(cell.world.task, {})
        of_task[cell.learning_rate] = _Task(status, {} if status != "ok" else dict(self._scores(group)))

    def _scores(self, group: CellGroup) -> Iterator[tuple[Score, ScoreOfTask]]:
        metrics = [name for name in metrics_of_fine_tuning(self.study) if _is_averaged(name)]
        over: Over = "demonstrations" if len(group.cells) >= SETS_FOR_SPREAD else "queries"
        for setting in SETTINGS:
            for metric in metrics:
                values = tuned_scores(group, setting, metric)
                if values is None:
                    continue
                stacked, by_layer = stack_seeds(values), zip(*map(per_layer, values), strict=True)
                whole = [aggregate(value) for value in values]
                yield Score(setting, metric, None), _of_task(whole, mean_over_seeds(stacked, over))
                for layer, means in enumerate(by_layer):
                    of_layer: Tensor = stacked[:, :, layer : layer + 1]
                    yield Score(setting, metric, layer), _of_task(means, mean_over_seeds(of_layer, over))

    def rows(self) -> Iterator[Row]:
        """A row for each score of a method on several tasks: the mean over these tasks, each of which counts once.

        The interval is for these tasks (others are not drawn): their variances add, for they share no demonstrations
        and no queries. `std` is over the demonstration sets of all tasks, and `n_seeds` counts these. Where a task has
        no score, there is none over all tasks: the others would be a luckier choice.
        """
        for subject, tasks in self._tasks.items():
            for rate, of_tasks in _at_one_rate_each(tasks):
                yield from self._rows_of(subject, rate, of_tasks)

    def _rows_of(self, subject: Subject, rate: float | None, of_tasks: Mapping[str, _Task]) -> Iterator[Row]:
        about = Row(
            model=subject.model,
            weights=subject.weights,
            initialisation=None if subject.weights == Weights.TRAINED else subject.initialisation,
            task=ALL_TASKS,
            labels=subject.labels,
            k=subject.k,
            record_at=self.study.record_at,
            dtype=self.study.dtype,
            method=subject.method,
            method_options=options_json(self.study.method(subject.method, rate or 1.0)),
            learning_rate=rate,
        )
        for score in dict.fromkeys(score for task in of_tasks.values() for score in task.scores):
            row = replace(about, setting=score.setting, metric=score.metric, layer=score.layer)
            absent = {name: task.status for name, task in of_tasks.items() if score not in task.scores}
            if absent:
                name, status = next(iter(absent.items()))
                yield replace(row, status=f"{status} (on {name}; {len(absent)} of {len(of_tasks)} tasks)")
            else:
                yield row | _mean_over_tasks([task.scores[score] for task in of_tasks.values()], row)


def _mean_over_tasks(tasks: Sequence[ScoreOfTask], about: Row) -> Row:
    means = [over_seeds(task.of_sets) for task in tasks]
    values = [value for task in tasks for value in task.of_sets if not isnan(value)]
    counts = Row(
        n=sum(task.n for task in tasks),
        n_missing=sum(task.n_missing for task in tasks),
        n_seeds=sum(mean.n for mean in means),
    )
    if n_diverged := sum(task.n_diverged for task in tasks):
        return replace(counts, status=diverged(n_diverged, (counts.n or 0) + (counts.n_missing or 0)))
    if any(isnan(mean.mean) for mean in means):
        return counts
    estimates = [task.estimate for task in tasks if task.estimate is not None]
    row = replace(
        counts,
        value=fmean(mean.mean for mean in means),
        std=stdev(values) if all(mean.std is not None for mean in means) else None,
    )
    if len(estimates) < len(tasks):
        return row
    interval = mean_of_independent(estimates).interval(0.95)
    return replace(row | shown(interval, bounds_of(about)), n_seeds=row.n_seeds)


def _of_task(means: Sequence[Aggregate], estimate: EstimatedMean | None) -> ScoreOfTask:
    n, n_missing, n_diverged = (sum(getattr(mean, name) for mean in means) for name in _COUNTS)
    return ScoreOfTask([mean.value for mean in means], estimate, n, n_missing, n_diverged)


def _at_one_rate_each(
    tasks: Mapping[str, Mapping[float, _Task]],
) -> Iterator[tuple[float | None, Mapping[str, _Task]]]:
    """Learning rate and the tasks at it, two or more: where each task has one rate of its own, None and all tasks;
    else each rate that all tasks have."""
    if len(tasks) < 2:
        return
    rates = dict.fromkeys(rate for of_task in tasks.values() for rate in of_task)
    common = [rate for rate in rates if all(rate in of_task for of_task in tasks.values())]
    for rate in common:
        yield rate, {name: of_task[rate] for name, of_task in tasks.items()}
    if not common and all(len(of_task) == 1 for of_task in tasks.values()):
        yield None, {name: next(iter(of_task.values())) for name, of_task in tasks.items()}


def _is_averaged(metric: str) -> bool:
    about = METRICS[metric]
    return about.group == "similarity" and about.has_layers and about.per != "layer pair"


def _subject(world: World, method: str) -> Subject:
    return Subject(world.model, world.weights, world.initialisation, world.labels, world.k, method)
