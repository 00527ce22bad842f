"""Progress bars of a running study."""

from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@dataclass
class _Line:
    """What one worker does."""

    bar: TaskID
    so_far: int = 0
    total: int = 0
    counts: bool = False
    """Whether the setting is part of the whole work: the shared ZSL and ICL observations are not."""


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
        self.workers: dict[str, _Line] = {}
        self.whole = self.progress.add_task("preparing", total=None, unit="")

    def __enter__(self) -> "ProgressBars":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self.workers.values():
            self.progress.update(line.bar, visible=False)
        if kind is not None:
            self.progress.update(self.whole, visible=False)
        self.progress.stop()

    def start(self, work: int) -> None:
        """All the work there is; with none that can be counted, the bar stays without an end."""
        self.progress.update(self.whole, description="all work", total=work or None, unit="steps and queries")

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins, or a training; what the setting before it left undone (it diverged) is over."""
        line = self._line(worker)
        if line.counts:
            self.progress.advance(self.whole, line.total - line.so_far)
        line.so_far, line.total, line.counts = 0, total, setting.startswith(("FT", "training"))
        unit = {"training": "steps", "tuning": ""}.get(setting, "steps, then queries" if line.counts else "queries")
        prefix = f"{worker} · " if worker else ""
        self.progress.reset(line.bar, description=f"{prefix}{title} · {setting}", total=total, visible=True, unit=unit)

    def done(self, so_far: int, worker: str = "") -> None:
        """So much of the setting is done."""
        line = self._line(worker)
        self.progress.update(line.bar, completed=so_far)
        if line.counts:
            self.progress.advance(self.whole, so_far - line.so_far)
        line.so_far = so_far

    def say(self, sentence: str) -> None:
        """Something that the user must hear, above the bars."""
        self.progress.console.print(sentence, markup=False, highlight=False)

    def _line(self, worker: str) -> _Line:
        if worker not in self.workers:
            self.workers[worker] = _Line(self.progress.add_task("", total=None, visible=False, unit=""))
        return self.workers[worker]
