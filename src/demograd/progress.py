"""How far a run is, where `demograd.run` is called: a bar in a notebook, plain lines in a script and its log.

The bars of rich and tqdm need ipywidgets in a notebook, which the browser's side has to have too, and leave nothing in
the file that is saved; a display of IPython that is updated needs neither, and its last state stays.
"""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from demograd.display import bars

LINES, UPDATES = 30.0, 0.5
"""Seconds between two lines of a script, and between two updates in a notebook."""
ENOUGH = 0.1
"""The share of the work after which the time left is said: a step takes longer than a query, and steps come first."""


@dataclass
class Part:
    """The setting that a worker is at."""

    title: str
    total: int
    is_counted: bool
    """Whether it is part of the whole work: the shared ZSL and ICL observations are not."""
    so_far: int = 0


@dataclass
class Work:
    """All the work of a run, optimizer steps and queries, and how much of it is done; every display counts with it."""

    clock: Callable[[], float] = time.monotonic
    total: int = 0
    """With none that can be counted, zero."""
    done_before: int = 0
    """Work of the parts that are over."""
    skipped: int = 0
    """What of it was never done: its part had diverged."""
    parts: dict[str, Part] = field(default_factory=dict)
    """By worker."""

    def __post_init__(self) -> None:
        self.began = self.clock()

    def start(self, total: int) -> None:
        """All the work there is."""
        self.total, self.began = total, self.clock()

    def begin(self, title: str, setting: str, total: int, worker: str) -> Part:
        """A setting of a cell begins, or a training; what the worker's part before it left undone (it diverged) is
        over."""
        if (before := self.parts.get(worker)) is not None and before.is_counted:
            self.done_before += before.total
            self.skipped += before.total - before.so_far
        prefix = f"{worker} · " if worker else ""
        self.parts[worker] = Part(f"{prefix}{title} · {setting}", total, setting.startswith(("FT", "training")))
        return self.parts[worker]

    def count(self, so_far: int, worker: str) -> Part:
        """So much of the worker's part is done."""
        self.parts[worker].so_far = so_far
        return self.parts[worker]

    @property
    def so_far(self) -> int:
        """Work that is done."""
        return self.done_before + sum(part.so_far for part in self.parts.values() if part.is_counted)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self.clock() - self.began

    @property
    def left(self) -> str:
        """The time left, about `0:04:30`; empty before `ENOUGH` is done, and where nothing is left."""
        done = self.so_far - self.skipped
        if not ENOUGH * self.total <= done < self.total - self.skipped:
            return ""
        return _time(self.seconds * (self.total - self.so_far) / done)

    @property
    def line(self) -> str:
        """`120 of 480 steps and queries, 0:01:30 so far, about 0:04:30 left`."""
        line = f"{_time(self.seconds)} so far"
        if self.total:
            line = f"{self.so_far:,} of {self.total:,} steps and queries, {line}"
        return f"{line}, about {self.left} left" if self.left else line


@dataclass
class Progress(ABC):
    """Shows at intervals what a run has done of all its work."""

    interval: float
    clock: Callable[[], float] = time.monotonic
    sentences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work = Work(self.clock)
        self.shown_at = self.clock()

    def start(self, work: int) -> None:
        """All the work there is."""
        self.work.start(work)
        self.shown_at = self.clock()
        self.show()

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins, or a training."""
        self._show_at_intervals(self.work.begin(title, setting, total, worker))

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the worker's part is done."""
        self._show_at_intervals(self.work.count(so_far, worker))

    def say(self, sentence: str) -> None:
        """Something that the user must hear."""
        self.sentences.append(sentence)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        """The run has ended, or stopped."""
        self.show()

    @abstractmethod
    def show(self, part: Part | None = None) -> None:
        """Show how far it is, and the part that a worker is at."""

    def _show_at_intervals(self, part: Part) -> None:
        if self.clock() - self.shown_at >= self.interval:
            self.shown_at = self.clock()
            self.show(part)


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@dataclass
class Lines(Progress):
    """Plain lines, for terminals and log files alike."""

    interval: float = LINES
    to_errors: bool = False
    """Whether they go to standard error."""

    def say(self, sentence: str) -> None:
        """The sentence on a line of its own."""
        print(sentence, file=sys.stderr if self.to_errors else sys.stdout, flush=True)

    def show(self, part: Part | None = None) -> None:
        """One line."""
        if part is not None:
            self.say(f"{self.work.line}: {part.title}, {part.so_far} of {part.total}")
        elif self.work.so_far > 0:
            self.say(self.work.line)


@dataclass
class NotebookBars(Progress):
    """Sentences, a bar of all work and one of each worker's part, in one display of the cell that runs."""

    interval: float = UPDATES
    handle: Any = None

    def say(self, sentence: str) -> None:
        """The sentence, above the bars."""
        super().say(sentence)
        self.show()

    def show(self, part: Part | None = None) -> None:
        """The display, made or brought up to date."""
        from IPython.display import HTML, display

        content = HTML(self._repr_html_())
        if self.handle is None:
            self.handle = display(content, display_id=True)
        else:
            self.handle.update(content)

    def __exit__(self, *error: object) -> None:
        """The bars of parts go, and what was done stays."""
        self.work.done_before, self.work.parts = self.work.so_far, {}
        super().__exit__(*error)

    def _repr_html_(self) -> str:
        work = self.work
        rows = [(work.line, work.so_far, work.total)] if work.total else []
        rows += [(part.title, part.so_far, part.total) for part in work.parts.values()]
        return bars(self.sentences, rows)


def default_watch() -> Lines | NotebookBars:
    """A bar where IPython shows displays, lines elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return NotebookBars() if hasattr(shell, "kernel") else Lines()
