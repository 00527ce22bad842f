"""Jobs without a model that a worker can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from demograd.errors import UserError
from demograd.models.load_errors import pickle_is_allowed
from demograd.study import RunFolder, Watch
from demograd.study.store.failures import attempt


@dataclass(frozen=True)
class Writes:
    """A job that writes a file with its process and its number of threads."""

    file: Path
    seconds: float = 0.0

    def run(self, watch: Watch) -> None:
        watch.begin(self.file.name, "FT", 2)
        watch.done(1)
        time.sleep(self.seconds)
        watch.done(2)
        self.file.write_text(f"{os.getpid()} {torch.get_num_threads()}")

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError("it was not its fault")


@dataclass(frozen=True)
class Listens:
    """A job that writes which signals its worker does not hear."""

    file: Path

    def run(self, watch: Watch) -> None:
        self.file.write_text(
            " ".join(sorted(signal.Signals(s).name for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        )

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError("it was not its fault")


@dataclass(frozen=True)
class Quotes:
    """A job that fails with an error that quotes the environment of its worker."""

    folder: RunFolder
    key: str
    names: tuple[str, ...]

    def run(self, watch: Watch) -> None:
        attempt(self.folder, self.key, "quoting", self._work, watch.say)

    def _work(self) -> None:
        raise ArithmeticError(" ".join(os.environ[name] for name in self.names))

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError("it was not its fault")


@dataclass(frozen=True)
class Tells:
    """A job that writes whether its worker allows pickles, and the worker's process, to a file."""

    file: Path

    def run(self, watch: Watch) -> None:
        self.file.write_text(f"{pickle_is_allowed()} {os.getpid()}")

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError("it was not its fault")


@dataclass(frozen=True)
class Dies:
    """A job whose worker is killed a given number of times."""

    file: Path
    times: int

    def run(self, watch: Watch) -> None:
        deaths = len(self.file.read_text()) if self.file.exists() else 0
        if deaths < self.times:
            self.file.write_text("†" * (deaths + 1))
            os.kill(os.getpid(), signal.SIGKILL)

    def give_up(self, why: str, watch: Watch) -> bool:
        watch.say(f"{self.file.name}: {why}")
        return False


@dataclass(frozen=True)
class WaitsOnce:
    """A job that writes its worker's process to a file, and on its first run then waits until it is killed."""

    file: Path

    def run(self, watch: Watch) -> None:
        processes = self.file.read_text().split() if self.file.exists() else []
        self.file.write_text(" ".join([*processes, str(os.getpid())]))
        watch.begin(self.file.name, "FT", 1)
        while not processes:
            time.sleep(60)

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError("it was not its fault")


@dataclass(frozen=True)
class Mistaken:
    """A job that raises the error of a user's mistake."""

    def run(self, watch: Watch) -> None:
        raise UserError("A blue model", "a red one", "Paint it")

    def give_up(self, why: str, watch: Watch) -> bool:
        raise AssertionError
