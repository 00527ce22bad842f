"""The tables and figures of the papers, as data: which command measures each, and where its result is."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True)
class Exhibit:
    """One row of `exhibits.yaml`."""

    paper: str
    exhibit: str
    """As the paper numbers it, or what it is about."""
    shows: str
    command: str = ""
    """Empty: nothing measures it."""
    sections: tuple[str, ...] = ()
    """Names of the sections of the page that have its result."""
    file: str = ""
    """Where its numbers are besides."""
    table: str = ""
    """The published table that has its numbers, as `table` takes it."""
    published: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """The number beside the published one, in the results of the command: columns and their values, and a factor
    `times` to have it in the same unit."""
    missing: str = ""
    """What is not as in the paper, or why there is no published number."""

    @property
    def preset(self) -> str:
        """What the command runs; empty where there is none, or it is no run."""
        words = shlex.split(self.command)
        return words[2] if words[:2] == ["demograd", "run"] else ""


@cache
def exhibits() -> tuple[Exhibit, ...]:
    """All of them, paper by paper."""
    rows = yaml.safe_load(files(__package__).joinpath("exhibits.yaml").read_text(encoding="utf-8"))
    return tuple(Exhibit(**row | {"sections": tuple(row.get("sections", ()))}) for row in rows)
