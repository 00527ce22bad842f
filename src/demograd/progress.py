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


@dataclass
class _Part:
    """What one worker does."""

    title: str
    total: int
    is_counted: bool
    """Whether it is part of the whole work: the shared ZSL and ICL observations are not."""
    so_far: int = 0


@dataclass
class Progress(ABC):
    """Counts what a run has done of all its work, optimizer steps and queries, and shows it at intervals."""

    interval: float
    clock: Callable[[], float] = time.monotonic
    total: int = 0
    done_before: int = 0
    """Work of the parts that are over."""
    parts: dict[str, _Part] = field(default_factory=dict)
    """By worker."""
    sentences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = self.shown_at = self.clock()

    def start(self, work: int) -> None:
        """All the work there is."""
        self.total, self.began = work, self.clock()
        self.show()

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins; what the worker's part before it left undone (it diverged) is over."""
        if (before := self.parts.get(worker)) is not None and before.is_counted:
            self.done_before += before.total
        is_counted = setting.startswith(("FT", "training"))
        prefix = f"{worker} · " if worker else ""
        self.parts[worker] = _Part(f"{prefix}{title} · {setting}", total, is_counted)
        self._show_at_intervals()

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the worker's part is done."""
        self.parts[worker].so_far = so_far
        self._show_at_intervals()

    def say(self, sentence: str) -> None:
        """Something that the user must hear."""
        self.sentences.append(sentence)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        """The run has ended, or stopped."""
        self.show()

    @abstractmethod
    def show(self) -> None:
        """Show how far it is."""

    @property
    def so_far(self) -> int:
        """Work that is done."""
        return self.done_before + sum(part.so_far for part in self.parts.values() if part.is_counted)

    @property
    def line(self) -> str:
        """`120 of 480 steps and queries, 0:01:30 so far, about 0:04:30 left`."""
        seconds, so_far = self.clock() - self.began, self.so_far
        line = f"{so_far:,} of {self.total:,} steps and queries, {_time(seconds)} so far"
        if 0 < so_far < self.total:
            line += f", about {_time(seconds * (self.total - so_far) / so_far)} left"
        return line

    def _show_at_intervals(self) -> None:
        if self.clock() - self.shown_at >= self.interval:
            self.shown_at = self.clock()
            self.show()


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@dataclass
class Lines(Progress):
    """Plain lines, for terminals and log files alike."""

    interval: float = LINES

    def say(self, sentence: str) -> None:
        """The sentence on a line of its own."""
        print(sentence, flush=True)

    def show(self) -> None:
        """One line."""
        if self.so_far > 0:
            print(self.line, flush=True)


@dataclass
class NotebookBars(Progress):
    """Sentences, a bar of all work and one of each worker's part, in one display of the cell that runs."""

    interval: float = UPDATES
    handle: Any = None

    def say(self, sentence: str) -> None:
        """The sentence, above the bars."""
        super().say(sentence)
        self.show()

    def show(self) -> None:
        """The display, made or brought up to date."""
        from IPython.display import HTML, display

        content = HTML(self._repr_html_())
        if self.handle is None:
            self.handle = display(content, display_id=True)
        else:
            self.handle.update(content)

    def __exit__(self, *error: object) -> None:
        """The bars of parts go, and what was done stays."""
        self.done_before, self.parts = self.so_far, {}
        super().__exit__(*error)

    def _repr_html_(self) -> str:
        rows = [(self.line, self.so_far, self.total)] if self.total else []
        rows += [(part.title, part.so_far, part.total) for part in self.parts.values() if part.title]
        return bars(self.sentences, rows)


def default_watch() -> Lines | NotebookBars:
    """A bar where IPython shows displays, lines elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return NotebookBars() if hasattr(shell, "kernel") else Lines()
