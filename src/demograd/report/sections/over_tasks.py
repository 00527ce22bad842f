"""Each task's scores beside their mean over tasks: the table of Deutch 2024, Table 2, with its column *Average*."""

from collections.abc import Sequence
from dataclasses import replace

from demograd.metrics import METRICS
from demograd.published import published_average
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Head, Section, Table, TableRow, entry, grouped, section
from demograd.report.subject import Variant, by_world, in_order, row_words
from demograd.statistics.number import NOT_MEASURED, Number, formatted
from demograd.words import Labels, Setting

SHOWN = ("sim_aou_norm", "sim_aou", "sim_am", "sim_am_delta")
"""The metrics of the published table, in its order."""
_LEAD = (
    "The last column is the mean over the tasks of this study, each of which counts once. In brackets: 95 % interval "
    "over demonstration sets and queries of these tasks, whose variances add; ± is the sample standard deviation over "
    "the demonstration sets of all tasks. It says nothing about tasks that are not in the study."
)
_PUBLISHED = (
    "Published beneath the mean: that of the published numbers of the same tasks (Deutch 2024, Table 2; its column "
    "Average, where these are its six). The model, k and prompts may all be others."
)
MEAN = "mean of tasks"


@section("Over all tasks", order=246, brief="All tasks")
def over_tasks_section(run: ReportedRun) -> Section | None:
    """A table per world of a run that has several tasks: a row per metric, method and weights, a column per task."""
    means = run.means_over_tasks.tuned()
    tables = [_table(run, members, world) for world, members in by_world(means).items()]
    if not tables:
        return None
    has_published = any("published" in line for table in tables for line in _lines_under_means(table))
    return Section(tuple(tables), f"{_sentence(run, means[0])} {_LEAD}".strip(), (_PUBLISHED,) * has_published)


def of_task(run: ReportedRun, mean: Variant, task: str) -> Variant | None:
    """What a mean over tasks is made of on one of them."""
    alike = (
        replace(variant, task=mean.task, learning_rate=mean.learning_rate)
        if mean.learning_rate in (None, variant.learning_rate)
        else variant
        for variant in run.scores.tuned()
    )
    same = zip(run.scores.tuned(), alike, strict=True)
    return next((variant for variant, other in same if variant.task == task and other == mean), None)


def _table(run: ReportedRun, means: Sequence[Variant], world: str) -> Table:
    tasks = _tasks(run)
    rows = []
    for metric in SHOWN:
        for mean in in_order(means):
            number = run.means_over_tasks.get(mean, metric, Setting.FT)
            if number is NOT_MEASURED:
                continue
            cells = tuple(_of_task(run, mean, metric, task) for task in tasks)
            rivals = [rival for rival in means if rival.method == mean.method]
            about = row_words(mean, rivals) if mean.learning_rate is not None else ()
            entries = (*cells, _mean(number, mean, metric, tasks))
            rows.append((METRICS[metric].title, TableRow(mean.method or "", entries, mean.weights, about)))
    heads = (Head("method, weights"), *map(Head, tasks), Head(MEAN))
    return Table(heads, grouped(rows), world)


def _tasks(run: ReportedRun) -> list[str]:
    """In the order of the study."""
    measured = dict.fromkeys(variant.task for variant in run.scores.tuned())
    in_study = [task for task in run.study.get("tasks", []) if task in measured]
    return list(dict.fromkeys([*in_study, *measured]))


def _of_task(run: ReportedRun, mean: Variant, metric: str, task: str) -> Entry:
    variant = of_task(run, mean, task)
    return NOTHING if variant is None else entry(run.scores.get(variant, metric, Setting.FT))


def _mean(number: Number, mean: Variant, metric: str, tasks: Sequence[str]) -> Entry:
    shown = entry(number)
    if mean.labels != Labels.GOLD:  # of other label words nothing was published
        return shown
    published = published_average(tasks, metric, mean.method or "", mean.weights)
    return shown if published is None else replace(shown, under=(*shown.under, f"published {formatted(published)}"))


def _lines_under_means(table: Table) -> list[str]:
    return [line for group in table.groups for row in group.rows for line in row.entries[-1].under]


def _sentence(run: ReportedRun, mean: Variant) -> str:
    """The first method's mean in the first metric."""
    metric = next((name for name in SHOWN[1:] if run.means_over_tasks.get(mean, name, Setting.FT).value), None)
    if metric is None:
        return ""
    number = run.means_over_tasks.get(mean, metric, Setting.FT)
    about = f"{METRICS[metric].title} of {mean.method} ({mean.weights})"
    return f"{about} is {number.with_bounds} over {len(_tasks(run))} tasks."
