"""The built-in tasks: rows of `built_in.yaml`."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from demograd.errors import unknown_name
from demograd.paths import is_there
from demograd.tasks.sources.hub import HubSource


@dataclass(frozen=True)
class BuiltIn:
    """One row: how a benchmark is shown to a model, and where its data are."""

    template: str
    label_words: list[str]
    """In class order."""
    hub: HubSource
    abstract_template: str | None = None
    """In the place of a template that names the classes, where labels are abstract."""
    staicc: str | None = None
    """File name in the package StaICC; None: on the hub only."""
    released_queries: int | None = None
    """How many queries the released runs of Deutch 2024 asked; None: they did not run this task."""
    notes: tuple[str, ...] = ()
    """What a reader of results on this task must know, one sentence each."""


@cache
def built_in_tasks() -> dict[str, BuiltIn]:
    """Every built-in task by name."""
    rows = yaml.safe_load(files(__package__).joinpath("built_in.yaml").read_text(encoding="utf-8"))
    return {
        name: BuiltIn(**row | {"hub": HubSource(**row["hub"]), "notes": tuple(row.get("notes", ()))})
        for name, row in rows.items()
    }


def task_names() -> list[str]:
    """Names of the built-in tasks, in the order of the papers' tables."""
    return list(built_in_tasks())


def check_task_name(name: str) -> None:
    """Whether it can be the name of a task: built-in, with a file or without, on the hub, or a file.

    Raises:
        UserError: it is none of these.
    """
    is_built_in = name.partition("=")[0] in built_in_tasks()
    if not is_built_in and not name.startswith("hub:") and not Path(name).suffix and not is_there(Path(name)):
        do = (
            "Name a file (.csv, .tsv, .json, .jsonl, .parquet, .arrow) or a folder, or a hub data set as hub:owner/name"
        )
        raise unknown_name("task", name, built_in_tasks(), do)


def released_queries(name: str) -> int | None:
    """How many queries the released runs asked of the built-in task `name`; None for one that they did not run."""
    task = built_in_tasks().get(name.partition("=")[0])
    return task.released_queries if task else None
