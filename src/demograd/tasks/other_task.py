"""The control "another task": whose demonstrations FT is trained on instead."""

from collections.abc import Mapping

from demograd.tasks.builtin import built_in_tasks
from demograd.tasks.task import Task

DEFAULTS = ("agnews", "subj")
"""Two built-in tasks that share no label word with each other or another built-in task, and come in the package."""


def other_task(name: str, among: Mapping[str, Task]) -> str:
    """The task whose demonstrations stand in for those of the task `name` of a study's tasks, `among`.

    It is the next one in the study's order, the first following the last, that shares no label word with `name`:
    demonstrations of a task with the same words would teach the words, which is part of what is measured. A study
    without such a task takes "agnews", or "subj" where agnews would share a word: a built-in name, to be loaded.
    """
    words = set(among[name].label_words)
    names = list(among)
    place = names.index(name)
    for other in names[place + 1 :] + names[:place]:
        if not words & set(among[other].label_words):
            return other
    return next(default for default in DEFAULTS if not words & set(built_in_tasks()[default].label_words))
