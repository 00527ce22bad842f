"""Jobs on this machine: in this process, or in several.

A worker process first imports the script that started the run: `multiprocessing` does so, for what it may define. A
script that starts a run while it is imported would start it once more.
"""

import os
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, count
from multiprocessing import active_children, current_process, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Thread

import torch

from demograd.errors import UserError
from demograd.study.workers.progress import INTERVAL, Message, Sending, Watch, tell
from demograd.study.workers.workers import Job

KILLED = "the process that worked on it was killed; often the machine had no memory left"
PRELOADED = [__name__, "demograd.study.language_model.units", "demograd.study.synthetic.units"]
"""Modules that jobs need: packages import lazily, and each process would import them anew."""
_TERMINATED = (0, None, -signal.SIGTERM)
"""Exit codes of processes that did nothing wrong: a pool that lost one of its processes terminates the others."""

_SCRIPT = 'a script that starts its run below `if __name__ == "__main__":`'
_DO = "Put the run below that line, or run it in one process"


def in_process(jobs: Iterable[Job], watch: Watch, *, threads: int) -> Iterator[Job]:
    """Run the jobs in this process; each, once it is done.

    Args:
        jobs: taken one by one.
        watch: told how far the work is.
        threads: of torch.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for job in jobs:
            job.run(watch)
            yield job
    finally:
        torch.set_num_threads(before)


def processes(jobs: Iterable[Job], watch: Watch, *, number: int, threads: int) -> Iterator[Job]:
    """Run the jobs in so many processes, in the order in which they come.

    When a process is killed, the whole pool is gone. A new one goes on with what was running and what comes; the job of
    the process that was killed is tried again alone, and where that is killed too, what it was doing is given up.

    Args:
        jobs: taken when a process is free.
        watch: told how far the work is.
        number: of processes.
        threads: of torch in each process.

    Raises:
        UserError: processes cannot begin, as where the script that started the run starts it anew in each of them.
    """
    rest = iter(jobs)
    while True:
        killed, stopped = yield from _pool(rest, watch, number, threads)
        if not killed:
            return
        for job in killed:
            while (yield from _pool(iter([job]), watch, 1, threads))[0] and job.give_up(KILLED, watch):
                pass
        rest = chain(stopped, rest)


def _pool(
    jobs: Iterator[Job], watch: Watch, number: int, threads: int
) -> Generator[Job, None, tuple[list[Job], list[Job]]]:
    """Each job, once it is done, until there is none left or a process was killed; then the jobs of those that were
    killed, and the other jobs that were running."""
    context, others = _context(), set(active_children())
    messages: SimpleQueue[Message] = context.SimpleQueue()
    hears, lifeline = context.Pipe(duplex=False)
    numbers, running = count(), dict[Future[None], tuple[int, Job]]()
    job_numbers: dict[str, int] = {}  # process → number of its job
    mine: set[BaseProcess] = set()
    lost: dict[int, Job] = {}
    begin = hears, messages, threads, Path.cwd(), dict(os.environ)
    pool = ProcessPoolExecutor(number, context, initializer=_begin, initargs=begin)
    try:
        while True:
            while not lost and len(running) < number and (job := next(jobs, None)) is not None:
                at = next(numbers)
                try:
                    running[_submitted(pool, at, job)] = at, job
                except BrokenProcessPool:
                    lost[at] = job
            mine |= set(active_children()) - others
            done = wait(running, timeout=INTERVAL, return_when=FIRST_COMPLETED).done
            _relay(messages, job_numbers, watch)
            for future in done:
                at, job = running.pop(future)
                try:
                    future.result()
                    yield job
                except BrokenProcessPool:
                    lost[at] = job
            if not running and (lost or not done):
                break
    except BaseException:
        lifeline.close()  # at which every process ends at once
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        lifeline.close()
        hears.close()
    _relay(messages, job_numbers, watch)
    if lost and not job_numbers and any((process.exitcode or 0) > 0 for process in mine):
        raise _no_worker_began()
    guilty = {job_numbers.get(str(process.pid)) for process in mine if process.exitcode not in _TERMINATED}
    blamed = guilty & lost.keys() or lost.keys()
    return [job for at, job in lost.items() if at in blamed], [job for at, job in lost.items() if at not in blamed]


def get_ready() -> None:
    """Have what worker processes import imported, while this process does other things."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running  # not on every platform

        resource_tracker.ensure_running()  # which lets Ctrl-C through, so it comes before
        with _without_ctrl_c():
            ensure_running()


def _context() -> BaseContext:
    """Where it is safe, processes are forked from one that has imported all this once, and has done nothing else."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _submitted(pool: ProcessPoolExecutor, at: int, job: Job) -> "Future[None]":
    with _without_ctrl_c():
        return pool.submit(_run, at, job)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that is started inside this block inherits that Ctrl-C is not for it: this process hears it, and ends
    the others.

    Where threads have no signal masks (Windows), the others hear it too.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _relay(messages: "SimpleQueue[Message]", job_numbers: dict[str, int], watch: Watch) -> None:
    while not messages.empty():
        message = messages.get()
        if message.name == "take":
            job_numbers[message.worker] = int(message.arguments[0])
        else:
            tell(watch, message)


_messages: "SimpleQueue[Message]"
"""In a worker process: where to tell the run how far it is."""


def _begin(
    hears: Connection, messages: "SimpleQueue[Message]", threads: int, folder: Path, environment: dict[str, str]
) -> None:
    """The first call in a worker process."""
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


def _run(at: int, job: Job) -> None:
    """Run a job in a worker process, by its number."""
    watch = Sending(_messages.put, str(os.getpid()))
    _messages.put(Message(watch.worker, "take", (at,)))
    job.run(watch)
    watch.finish()


def refuse_in_import() -> None:
    """
    Raises:
        UserError: this process is a worker that is only just importing the script.
    """
    # set by multiprocessing for just so long; a user's own worker may well start a run later
    if getattr(current_process(), "_inheriting", False):
        raise UserError("A worker process imports the script, and that starts a run once more", _SCRIPT, _DO)


def _no_worker_began() -> UserError:
    """Every worker process ended with an error before it took any work."""
    return UserError(
        "Worker processes ended while they imported the script that started the run (why is above)", _SCRIPT, _DO
    )
