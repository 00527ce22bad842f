"""A study's tasks; those that are optional may be missing, and the study is then one without them."""

from collections.abc import Callable, Sequence
from typing import Any

from demograd.errors import UserError
from demograd.study.language_model.points import axes_of, cell_points, points_of, world_points
from demograd.study.language_model.rules import Axes, Exclusion, idle
from demograd.study.language_model.spec import Study, make_study
from demograd.tasks import Task, load_task, other_task, task_names


def load_tasks(study: Study, say: Callable[[str], None]) -> tuple[Study, dict[str, Task]]:
    """The study's tasks by name, and those that another task's control needs; the study without what it can spare.

    Raises:
        UserError: a task cannot be loaded, or not one; without those that are left out, no cell is left.
    """
    tasks: dict[str, Task] = {}
    for name in study.tasks:
        try:
            tasks[name] = load_task(
                name,
                template=study.template,
                label_words=study.label_words,
                label_column=study.label_column,
                validation_path=study.validation_path,
                split=study.split,
                validation_split=study.validation_split,
                encoding=study.encoding,
                answer_prefix=study.answer_prefix,
                source=study.source if name in task_names() else None,
            )
        except UserError as error:
            if name not in study.optional_tasks or (name == study.tasks[-1] and not tasks):
                raise
            say(f"{name} is left out: {error}")
    for name in (name for name in tasks if name not in task_names()):
        for note in tasks[name].notes:
            say(note)
    study = _of_these_tasks(study, list(tasks))
    left = {point.get("method") for point in cell_points(study)}
    for method in study.methods:
        if method not in left:
            say(f"exclude and pair leave no cell of {method}")
    if "other_task" in study.controls:
        for name in study.tasks:
            if (other := other_task(name, {task: tasks[task] for task in study.tasks})) not in tasks:
                tasks[other] = load_task(other, source=study.source)
    return study, tasks


def _of_these_tasks(study: Study, tasks: list[str]) -> Study:
    """A study that can be opened again: without the other tasks, and whatever it says of them alone."""
    missing = [name for name in study.tasks if name not in tasks]
    smaller = study.model_copy(
        update={
            "tasks": tasks,
            "optional_tasks": [],
            "exclude": [],
            **{field: _without(missing, getattr(study, field)) for field in ("seeds", "queries", "learning_rates")},
        }
    )
    rules = _still_meant(axes_of(smaller), study.exclude)
    useless = idle(points_of(smaller), rules)
    smaller = smaller.model_copy(update={"exclude": [rule for at, rule in enumerate(rules) if at not in useless]})
    if next(world_points(smaller), None) is None:
        raise UserError(
            f"Without {', '.join(missing)}, whose data cannot be had, exclude and pair leave no cell",
            "a task that is here, and of which something is run",
            "Give the data that are missing, or other rules",
        )
    return make_study(smaller.model_dump())


def _without(names: Sequence[str], setting: Any) -> Any:
    """A setting that may be given task by task, at any depth, without these tasks."""
    if not isinstance(setting, dict):
        return setting
    return {name: _without(names, below) for name, below in setting.items() if name not in names}


def _still_meant(axes: Axes, exclude: Sequence[Exclusion]) -> list[Exclusion]:
    """The rules without the values that a smaller grid has not, and without those that name nothing there then."""
    rest = [
        {name: [value for value in values if value in axes[name]] for name, values in rule.excluded.items()}
        for rule in exclude
    ]
    return [Exclusion(**rule) for rule in rest if all(rule.values())]
