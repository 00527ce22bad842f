"""What is handed out to whoever does the work of a run."""

from typing import Protocol, runtime_checkable

from demograd.study.watch import JobWatch


@runtime_checkable
class Job(Protocol):
    """A part of a run that one worker does alone, pickled to get there. It reads what is already in the run folder, and
    keeps what it finishes, what fails in it, and all that the run's files will tell of it, there: a run that is stopped
    loses nothing else."""

    def run(self, watch: JobWatch) -> None:
        """Do all of it that is not done, and has not failed."""

    def give_up(self, why: str, watch: JobWatch) -> bool:
        """Keep as failed what was being done when its worker was killed; whether there is more to do."""
