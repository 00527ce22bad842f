"""One job after the other, here."""

from collections.abc import Iterable, Iterator

import torch

from demograd.study.engine.job import Job
from demograd.study.watch import Watch


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
