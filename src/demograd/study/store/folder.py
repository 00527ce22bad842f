"""A run folder: finished cells are written at once and whole, so that a stopped run goes on."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demograd.files import (
    WITHOUT_SEAL,
    Damaged,
    Place,
    lock_where_possible,
    move,
    read_json,
    sealed_tensors,
    write_json,
    write_tensors,
)
from demograd.observe import Observation
from demograd.study.store.cache import Cache, Kind, user_cache
from demograd.words import Extra


@dataclass(frozen=True)
class Computing:
    """Requested device and threads of a run; which device that is, each working machine finds out itself."""

    device: str
    """As a study has it: `auto`, `balanced`, `cpu`, `cuda`, …"""
    threads: int
    """Threads of each worker."""

    def in_words(self) -> str:
        """Device, threads and library of this machine: equal only where the same numbers come out bit for bit."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{_device(self.device)}, {threads}, torch {torch.__version__}"


@dataclass(frozen=True)
class CellRecord:
    """The numbers and facts of a finished cell."""

    tensors: dict[str, Tensor]
    """`<setting>/<metric>`: [queries, layers] or [queries, layers, heads]; `<setting>/label_log_probs`."""
    facts: dict[str, Any]
    """k_used, seconds, and per setting: status, losses, gradient norms; once it is kept, what computed it."""


@dataclass(frozen=True)
class RunFolder:
    """Where a study is kept (docs/run-folder.md): on this machine, or behind a URL."""

    path: Place
    computing: Computing | None = None
    """Device and threads of the process that works with it; None: the folder is only read, without the cache."""

    def has_cell(self, key: str) -> bool:
        """Whether this cell is finished: here, or in another study that computed on the same."""
        return self._has("cells", key)

    def has_any_cell(self) -> bool:
        """Whether any work would be lost with the folder."""
        return any(self.path.glob("cells/*.safetensors"))

    def has_observation(self, key: str) -> bool:
        """Whether this observation is there: here, or in another study that computed on the same."""
        return self._has("observations", key)

    def save_cell(self, key: str, record: CellRecord) -> None:
        """Keep a finished cell."""
        facts = {**record.facts, "computed_on": self._computed_on}
        write_tensors(self._file("cells", key), record.tensors, {"facts": json.dumps(facts)})
        self._share("cells", key)

    def load_cell(self, key: str) -> CellRecord:
        """A finished cell.

        Raises:
            Damaged: its file is not what was written.
        """
        with sealed_tensors(self._file("cells", key)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return CellRecord(tensors, json.loads(file.metadata()["facts"]))

    def observation(self, key: str, observe: Callable[[], Observation], say: Callable[[str], None]) -> Observation:
        """A kept observation, or a new one, which is then kept; of several processes that ask for it one observes.

        One that was damaged since the folder was opened is set aside, said, and observed anew.
        """
        with self._alone_with(key):
            if self.has_observation(key):
                try:
                    return self.load_observation(key)
                except Damaged as damaged:
                    self.set_aside([damaged], say)
            observation = replace(observe(), computed_on=self._computed_on)
            observation.save(self._file("observations", key))
            self._share("observations", key)
            return observation

    def load_observation(self, key: str, *, extras: Collection[Extra] | None = None) -> Observation:
        """A kept observation; of its extras, which can be large, these (None: all).

        Raises:
            Damaged: its file is not what was written.
        """
        return Observation.load(self._file("observations", key), extras=extras)

    def set_aside(self, damaged: Sequence[Damaged], say: Callable[[str], None]) -> None:
        """Move damaged files into `damaged/`, and say so."""
        for problem in damaged:
            move(problem.file, self.path / "damaged")
        for has_seal, words in ((True, "are damaged"), (False, f"have no seal ({WITHOUT_SEAL})")):
            names = [problem.file.name for problem in damaged if problem.has_seal == has_seal]
            if names:
                say(
                    f"{len(names)} of the files in {self.path} {words}: they are set aside in damaged/, and made anew "
                    f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
                )

    def write_json(self, name: str, content: dict[str, Any] | list[Any]) -> None:
        """Keep something small that people read."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> Any:
        """The content that `write_json` kept; None where there is none.

        Raises:
            Damaged: the file is not what was written.
        """
        file = self.path / name
        return read_json(file) if file.is_file() else None

    def _file(self, kind: Kind, key: str) -> Place:
        return self.path / kind / f"{key}.safetensors"

    def _has(self, kind: Kind, key: str) -> bool:
        file = self._file(kind, key)
        if file.is_file():
            return True
        cache = self._cache
        return cache is not None and cache.fetch(kind, key, self._computed_on, file)

    def _share(self, kind: Kind, key: str) -> None:
        file, cache = self._file(kind, key), self._cache
        if cache is not None and isinstance(file, Path):  # what is behind a URL would have to be fetched again
            cache.keep(kind, key, self._computed_on, file)

    @property
    def _cache(self) -> Cache | None:
        return None if self.computing is None else user_cache()

    @property
    def _computed_on(self) -> str:
        return "" if self.computing is None else self.computing.in_words()

    def _alone_with(self, key: str) -> Any:
        if not isinstance(self.path, Path):
            return nullcontext()
        (self.path / "locks").mkdir(exist_ok=True)
        return lock_where_possible(self.path / "locks" / key)


@cache
def _device(name: str) -> str:
    """The kind of device, and which: kernels are chosen by a processor's instructions, and by the GPU."""
    if name in ("auto", "balanced"):
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else device.type
