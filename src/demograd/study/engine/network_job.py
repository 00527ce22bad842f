"""The job of measuring a network alone: no prompt, no fine-tuning."""

from dataclasses import dataclass, field
from functools import partial

from demograd.study.engine.loaded import Network, label, loaded
from demograd.study.networks import measure_network
from demograd.study.schema import Study
from demograd.study.store.failures import attempt, keep_failure
from demograd.study.store.folder import RunFolder
from demograd.study.watch import JobWatch


@dataclass(frozen=True)
class NetworkJob:
    """One measure of one network."""

    study: Study = field(repr=False)
    folder: RunFolder
    network: Network
    fingerprint: str
    """Of the pretrained network."""
    what: str
    key: str
    """Where it will be kept."""

    def __str__(self) -> str:
        return f"{label(self.study, self.network)} · {self.what}"

    def run(self, watch: JobWatch) -> None:
        load = partial(loaded, self.study, self.network, self.fingerprint)

        def measure() -> None:
            if not self.folder.has_cell(self.key):  # as it may from the cache of the machine that works
                self.folder.save_cell(self.key, measure_network(self.study, self.what, load))

        attempt(self.folder, self.key, str(self), measure, watch)

    def give_up(self, why: str, watch: JobWatch) -> bool:
        keep_failure(self.folder, self.key, str(self), why, "", watch)
        return False
