"""The job of training one network of a synthetic study."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from demograd.study.store.computing import Computing
from demograd.study.store.failures import attempt, failed_keys, keep_failure
from demograd.study.store.folder import RunFolder
from demograd.study.synthetic.schema import SyntheticStudy
from demograd.study.synthetic.trained import SyntheticCell, cell_key, cells, train_cell
from demograd.study.watch import JobWatch


@dataclass(frozen=True)
class TrainingJob:
    """One network, in one world, from one seed. Killed, it goes on from its checkpoint."""

    study: SyntheticStudy = field(repr=False)
    """With its device named."""
    folder: RunFolder
    cell: SyntheticCell

    def __str__(self) -> str:
        return str(self.cell)

    @property
    def key(self) -> str:
        """Where the network will be kept."""
        return cell_key(self.study, self.cell)

    @property
    def steps(self) -> int:
        """Of training."""
        return self.study.training_of(self.cell.network).steps

    def run(self, watch: JobWatch) -> None:
        """A network that diverges is finished, and said; whatever else goes wrong is kept as failed."""

        def work() -> None:
            if self.folder.has_cell(self.key):  # as it may from the cache of the machine that works
                return
            status = train_cell(self.study, self.cell, self.folder, watch).status
            if status != "ok":
                watch.say(f"{self}: {status}")

        watch.begin(str(self), "training", self.steps)
        attempt(self.folder, self.key, str(self), work, watch)

    def give_up(self, why: str, watch: JobWatch) -> bool:
        keep_failure(self.folder, self.key, str(self), why, "", watch)
        return False


def training_jobs(study: SyntheticStudy, folder: RunFolder, computing: Computing) -> Iterator[TrainingJob]:
    """Of the networks that are neither finished nor failed."""
    failed, theirs = failed_keys(folder), RunFolder(folder.path.absolute(), computing)  # who may stand elsewhere
    for job in (TrainingJob(study, theirs, cell) for cell in cells(study)):
        if job.key not in failed and not folder.has_cell(job.key):
            yield job
