"""How far a running study is: bars in a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from demograd.cli.printing import output
from demograd.study.plan.pace import duration_in_words
from demograd.study.workers.progress import Silent

SECONDS_BETWEEN_LINES = 30.0
"""In a log."""


@dataclass
class _Setting:
    """What one worker is at."""

    so_far: int = 0
    total: int = 0
    counts: bool = False
    """Whether the setting is part of the whole work: the shared ZSL and ICL observations are not."""
    title: str = ""


@dataclass
class Work:
    """All the work of a run, and how much of it is done."""

    total: int = 0
    """With none that can be counted, zero."""
    done: int = 0
    workers: dict[str, _Setting] = field(default_factory=dict)

    def begin(self, title: str, setting: str, total: int, worker: str) -> _Setting:
        """A setting of a cell begins, or a training; what the setting before it left undone (it diverged) is over."""
        before = self.workers.get(worker)
        if before is not None and before.counts:
            self.done += before.total - before.so_far
        counts = setting.startswith(("FT", "training"))
        prefix = f"{worker} · " if worker else ""
        self.workers[worker] = _Setting(0, total, counts, f"{prefix}{title} · {setting}")
        return self.workers[worker]

    def count(self, so_far: int, worker: str) -> None:
        """So much of the setting is done."""
        current = self.workers.setdefault(worker, _Setting())
        if current.counts:
            self.done += so_far - current.so_far
        current.so_far = so_far


class ProgressBars:
    """Lines on standard error: the cell and setting that each worker is at, and all the work with the time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.work = Work()
        self.bars: dict[str, TaskID] = {}
        self.whole = self.progress.add_task("preparing", total=None, unit="")

    def __enter__(self) -> "ProgressBars":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self.bars.values():
            self.progress.update(bar, visible=False)
        if kind is not None:
            self.progress.update(self.whole, visible=False)
        self.progress.stop()

    def start(self, work: int) -> None:
        """All the work there is; with none that can be counted, the bar stays without an end."""
        self.progress.update(self.whole, description="all work", total=work or None, unit="steps and queries")

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins, or a training."""
        current = self.work.begin(title, setting, total, worker)
        unit = {"training": "steps", "tuning": ""}.get(setting, "steps, then queries" if current.counts else "queries")
        if worker not in self.bars:
            self.bars[worker] = self.progress.add_task("", total=None, visible=False, unit="")
        self.progress.reset(self.bars[worker], description=current.title, total=total, visible=True, unit=unit)
        self.progress.update(self.whole, completed=self.work.done)

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the setting is done."""
        self.work.count(so_far, worker)
        if worker in self.bars:
            self.progress.update(self.bars[worker], completed=so_far)
        self.progress.update(self.whole, completed=self.work.done)

    def say(self, sentence: str) -> None:
        """Something that the user must hear, above the bars."""
        self.progress.console.print(sentence, markup=False, highlight=False)


class ProgressLines:
    """A line on standard error now and then, for a log: how much is done, how long the rest takes, and what is worked
    on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.work, self.clock = Work(), clock
        self.started = self.last_line = clock()

    def __enter__(self) -> "ProgressLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left on the screen."""

    def start(self, work: int) -> None:
        """All the work there is."""
        self.work.total = work
        self.started = self.last_line = self.clock()

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins, or a training."""
        self._say_how_far(self.work.begin(title, setting, total, worker))

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the setting is done."""
        self.work.count(so_far, worker)
        self._say_how_far(self.work.workers[worker])

    def say(self, sentence: str) -> None:
        """Something that the user must hear."""
        typer.echo(sentence, err=True)

    def _say_how_far(self, current: _Setting) -> None:
        now = self.clock()
        if now - self.last_line < SECONDS_BETWEEN_LINES:
            return
        self.last_line = now
        share = self.work.done / self.work.total if self.work.total else 0.0
        left = f", about {duration_in_words((now - self.started) * (1 / share - 1))} left" if share else ""
        self.say(f"{share:4.0%} of the steps and queries{left}: {current.title}, {current.so_far} of {current.total}")


class Quiet(Silent):
    """Says nothing."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress() -> ProgressBars | ProgressLines | Quiet:
    """What suits where standard error goes, and what was asked for."""
    if output().is_quiet:
        return Quiet()
    return ProgressBars() if sys.stderr.isatty() else ProgressLines()
