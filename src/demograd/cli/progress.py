"""Progress bars of a running study."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBars:
    """Two lines on standard error: the cell and setting that runs, and all the work with the time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.setting = self.progress.add_task("", total=None, visible=False, unit="")
        self.whole = self.progress.add_task("preparing", total=None, unit="")
        self.so_far = 0
        self.counts = False

    def __enter__(self) -> "ProgressBars":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.update(self.setting, visible=False)
        if kind is not None:
            self.progress.update(self.whole, visible=False)
        self.progress.stop()

    def start(self, work: int) -> None:
        """All the work there is."""
        self.progress.update(self.whole, description="all cells", total=work, unit="steps and queries")

    def begin(self, what: str, setting: str, total: int) -> None:
        """A setting of a cell begins."""
        self.so_far, self.counts = 0, setting.startswith("FT")
        unit = "steps, then queries" if self.counts else "queries"
        description = f"{what} · {setting}"
        self.progress.reset(self.setting, description=description, total=total, visible=True, unit=unit)

    def done(self, so_far: int) -> None:
        """So much of the setting is done; the shared ZSL and ICL observations are not counted in the whole."""
        self.progress.update(self.setting, completed=so_far)
        if self.counts:
            self.progress.advance(self.whole, so_far - self.so_far)
        self.so_far = so_far

    def say(self, sentence: str) -> None:
        """Something that the user must hear, above the bars."""
        self.progress.console.print(sentence, markup=False, highlight=False)
