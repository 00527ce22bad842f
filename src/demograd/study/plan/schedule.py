"""How long a study takes on several workers: each takes the next world as soon as it is free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from demograd.study.language_model.networks import Network


@dataclass(frozen=True)
class Job:
    """A world's work, or a measure of a network alone."""

    network: Network
    seconds: float


def makespan(jobs: Sequence[Job], workers: int, loading: Callable[[Network], float]) -> float:
    """Seconds until the last worker is done.

    Jobs are handed out in order, those of one network together; a worker keeps the network that it loaded last.
    """
    free: list[tuple[float, int]] = [(0.0, worker) for worker in range(min(workers, len(jobs)))]
    heapify(free)
    holds: dict[int, Network] = {}
    last = 0.0
    for job in jobs:
        begin, worker = free[0]
        load = 0.0 if holds.get(worker) == job.network else loading(job.network)
        holds[worker] = job.network
        end = begin + load + job.seconds
        heapreplace(free, (end, worker))
        last = max(last, end)
    return last
