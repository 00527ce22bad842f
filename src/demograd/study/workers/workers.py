"""Who does the work of a run: this process, several of this machine, or a Ray cluster."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from demograd.errors import UserError, quoted, unknown_name
from demograd.study.workers.progress import JobWatch, Watch

EXECUTORS = ("in-process", "processes", "ray")
MOST_WORKERS, MOST_GPUS = 10_000, 1024
MOST_THREADS_PER_CORE, MOST_THREADS_OF_A_NODE = 4, 1024
"""Limits of --threads: per core of this machine; and on a node of a cluster, whose cores are unknown."""
LEAST_GPUS, LEAST_MEMORY, MOST_MEMORY = 0.0001, 0.001, 1_000_000
"""Limits of --gpus, as Ray counts; and of --memory in GB, from a megabyte to a petabyte."""


@runtime_checkable
class Job(Protocol):
    """A part of a run that one worker does alone, pickled to get there. It reads what is already in the run folder, and
    keeps what it finishes, what fails in it, and all that the run's files will tell of it, there: a run that is stopped
    loses nothing else."""

    def run(self, watch: JobWatch) -> None:
        """Do all of it that is not done, and has not failed."""

    def give_up(self, why: str, watch: JobWatch) -> bool:
        """Keep as failed what was being done when its worker was killed; whether there is more to do."""


@dataclass(frozen=True)
class Workers:
    """Who works, and with what."""

    executor: str | None = None
    """One of `EXECUTORS`; None: `processes` where there are several, else `in-process`."""
    number: int | None = None
    """How many work at once; None: one, or as many as the Ray cluster has room for."""
    threads: int | None = None
    """Threads of each worker; None: see `threads_each`."""
    address: str | None = None
    """Address of a running Ray cluster; None: RAY_ADDRESS, or a new cluster on this machine."""
    gpus: float = 0.0
    """GPUs that a Ray task needs."""
    memory: float | None = None
    """GB (10⁹ bytes) that a Ray task needs."""

    def __post_init__(self) -> None:
        """
        Raises:
            UserError: a number that no machine has, or these do not fit together.
        """
        if self.executor is not None and self.executor not in EXECUTORS:
            raise unknown_name("executor", self.executor, EXECUTORS, "Choose one of these")
        most_threads = MOST_THREADS_OF_A_NODE if self.executor == "ray" else MOST_THREADS_PER_CORE * _cores()
        for name, value, least, most in (
            ("--workers", self.number, 1, MOST_WORKERS),
            ("--threads", self.threads, 1, most_threads),
            ("--gpus", self.gpus or None, LEAST_GPUS, MOST_GPUS),
            ("--memory", self.memory, LEAST_MEMORY, MOST_MEMORY),
        ):
            if value is not None and not least <= value <= most:  # so written, it refuses NaN
                raise UserError(f"{name} {quoted(value)}", f"{least} to {most:,}", f"Leave {name} off, or correct it")
        if self.gpus > 1 and self.gpus % 1:
            raise UserError(f"--gpus {self.gpus}", "a part of one, or whole ones", "Correct it")
        if self.executor == "in-process" and (self.number or 1) > 1:
            raise UserError(
                f"--workers {self.number} with --executor in-process", "one worker", "Try --executor processes"
            )
        of_ray = {"--address": self.address, "--gpus": self.gpus, "--memory": self.memory}
        if self.executor != "ray" and (ray_only := [name for name, value in of_ray.items() if value]):
            raise UserError(
                f"{ray_only[0]} without Ray",
                "a task of a Ray cluster, which has resources",
                "Add --executor ray, or leave it off",
            )

    @property
    def are_elsewhere(self) -> bool:
        """Whether another process than this one does the work."""
        return self.executor in ("processes", "ray") or (self.number or 1) > 1

    @property
    def threads_each(self) -> int:
        """Threads of torch in each worker: as many as were asked for; else this machine's cores divided among its
        processes, one for a Ray task, and in this process as many as torch has."""
        if self.threads is not None or self.executor == "ray":
            return self.threads or 1
        if self.are_elsewhere:
            return max(1, _cores() // (self.number or 1))
        import torch

        return torch.get_num_threads()


def get_ready(workers: Workers) -> None:
    """Begin with what several workers need before there is a job for them; nothing else depends on it."""
    from demograd.study.workers import local

    if workers.are_elsewhere and workers.executor != "ray":
        local.get_ready()


def run_jobs(jobs: Iterable[Job], workers: Workers, watch: Watch) -> Iterator[Job]:
    """The jobs, as each is done; one that was given up is not among them."""
    from demograd.study.workers import local, on_ray

    if not workers.are_elsewhere:
        return local.in_process(jobs, watch, threads=workers.threads_each)
    if workers.executor == "ray":
        return on_ray.on_ray(
            jobs,
            watch,
            number=workers.number,
            threads=workers.threads_each,
            address=workers.address,
            gpus=workers.gpus,
            memory=None if workers.memory is None else round(workers.memory * 1e9),
        )
    return local.processes(jobs, watch, number=workers.number or 1, threads=workers.threads_each)


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
