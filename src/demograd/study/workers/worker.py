"""Inside a worker process: it tells the run what it does, and ends when the run does."""

import os
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Thread

import torch

from demograd.study.workers.progress import Message, Sending
from demograd.study.workers.workers import Job

_messages: "SimpleQueue[Message]"
"""Where to tell how far it is."""


def begin(
    hears: Connection, messages: "SimpleQueue[Message]", threads: int, folder: Path, environment: dict[str, str]
) -> None:
    """Its first call."""
    global _messages
    os.chdir(folder)  # these two may have changed since the process that it was forked from began
    os.environ.clear()  # what was allowed then may not be now
    os.environ.update(environment)
    _messages = messages
    torch.set_num_threads(threads)
    Thread(target=_end_with_the_run, args=(hears,), daemon=True).start()


def _end_with_the_run(hears: Connection) -> None:
    """Nobody ever speaks; when the run ends, however it ends, its end of the line is closed."""
    try:
        hears.recv()
    except EOFError:
        os._exit(1)


def run(at: int, job: Job) -> None:
    """Run a job, by its number."""
    watch = Sending(_messages.put, str(os.getpid()))
    _messages.put(Message(watch.worker, "take", (at,)))
    job.run(watch)
    watch.finish()
