"""How far a run is: what its watch is told, and what workers elsewhere send to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

INTERVAL = 0.1
"""Seconds between two messages that only count on."""


@runtime_checkable
class JobWatch(Protocol):
    """Told how far a job is: a part of a run, maybe elsewhere."""

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        """A setting of a cell begins: so many queries, or so many steps; `worker` tells who does it, among several."""

    def done(self, so_far: int, worker: str = "") -> None:
        """So many of them are done."""

    def say(self, sentence: str) -> None:
        """Something that the user must hear."""


@runtime_checkable
class Watch(JobWatch, Protocol):
    """Told how far a run is."""

    def start(self, work: int) -> None:
        """All the work there is: queries and optimizer steps of all cells that are not finished."""


class Silent:
    """Watches without a word."""

    def start(self, work: int) -> None: ...
    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None: ...
    def done(self, so_far: int, worker: str = "") -> None: ...
    def say(self, sentence: str) -> None: ...


@dataclass(frozen=True)
class Message:
    """One call of a worker's watch."""

    worker: str
    name: Literal["take", "begin", "done", "say"]
    """`take`: the worker takes a job, by its number."""
    arguments: tuple[Any, ...]


@dataclass
class Sending:
    """A worker's watch: sends what it is told."""

    send: Callable[[Message], object]
    worker: str
    held: Message | None = None
    """The last count, while it is too early to send it."""
    sent: float = field(default_factory=time.monotonic)

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        self._send_held()
        self.send(Message(self.worker, "begin", (title, setting, total)))

    def done(self, so_far: int, worker: str = "") -> None:
        self.held = Message(self.worker, "done", (so_far,))
        if time.monotonic() - self.sent > INTERVAL:
            self._send_held()

    def say(self, sentence: str) -> None:
        self._send_held()
        self.send(Message(self.worker, "say", (sentence,)))

    def finish(self) -> None:
        """Hold nothing back: the job is over."""
        self._send_held()

    def _send_held(self) -> None:
        if self.held is not None:
            self.send(self.held)
            self.held, self.sent = None, time.monotonic()


def tell(watch: JobWatch, message: Message) -> None:
    """Let the watch of the run hear a worker."""
    if message.name == "say":
        watch.say(*message.arguments)
    else:
        getattr(watch, message.name)(*message.arguments, worker=message.worker)
