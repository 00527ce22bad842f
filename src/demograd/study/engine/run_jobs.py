"""Hands the jobs of a run to its workers."""

from collections.abc import Iterable, Iterator

from demograd.study.engine.in_process import in_process
from demograd.study.engine.job import Job
from demograd.study.engine.loaded import let_go
from demograd.study.engine.on_ray import on_ray
from demograd.study.engine.processes import processes
from demograd.study.engine.workers import Workers
from demograd.study.watch import Watch


def run_jobs(jobs: Iterable[Job], workers: Workers, watch: Watch) -> Iterator[Job]:
    """The jobs, as each is done; one that was given up is not among them."""
    if not workers.are_elsewhere:
        return in_process(jobs, watch, threads=workers.threads_each)
    let_go()  # of the network with which the study was checked: those who work need the memory
    if workers.executor == "ray":
        return on_ray(
            jobs,
            watch,
            number=workers.number,
            threads=workers.threads_each,
            address=workers.address,
            gpus=workers.gpus,
            memory=None if workers.memory is None else round(workers.memory * 1e9),
        )
    return processes(jobs, watch, number=workers.number or 1, threads=workers.threads_each)
