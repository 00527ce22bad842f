"""How far a running study is: bars in a terminal, lines in a log."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from demograd.cli.printing import output
from demograd.progress import Lines, Work
from demograd.study.workers.progress import Silent


class ProgressBars:
    """Lines on standard error: the cell and setting that each worker is at, and all the work with the time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )
        self.work = Work()
        self.bars: dict[str, TaskID] = {}
        self.whole = self.progress.add_task("preparing", total=None, unit="", left="")

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
        self.work.start(work)
        self.progress.update(self.whole, description="all work", total=work or None, unit="steps and queries")

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins, or a training."""
        current = self.work.begin(title, setting, total, worker)
        unit = {"training": "steps", "tuning": ""}.get(
            setting, "steps, then queries" if current.is_counted else "queries"
        )
        if worker not in self.bars:
            self.bars[worker] = self.progress.add_task("", total=None, visible=False, unit="", left="")
        bar = self.bars[worker]
        self.progress.reset(bar, description=current.title, total=total, visible=True, unit=unit, left="")
        self.progress.update(self.whole, completed=self.work.so_far, left=self.work.left)

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the setting is done."""
        self.work.count(so_far, worker)
        if worker in self.bars:
            self.progress.update(self.bars[worker], completed=so_far)
        self.progress.update(self.whole, completed=self.work.so_far, left=self.work.left)

    def say(self, sentence: str) -> None:
        """Something that the user must hear, above the bars."""
        self.progress.console.print(sentence, markup=False, highlight=False)


class Quiet(Silent):
    """Says nothing."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress() -> ProgressBars | Lines | Quiet:
    """What suits where standard error goes, and what was asked for."""
    if output().is_quiet:
        return Quiet()
    return ProgressBars() if sys.stderr.isatty() else Lines(to_errors=True)
