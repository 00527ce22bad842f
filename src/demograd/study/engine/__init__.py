"""Jobs, and who runs them."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.study.engine.job import Job
    from demograd.study.engine.run_jobs import run_jobs
    from demograd.study.engine.workers import EXECUTORS, Workers

__all__ = ["EXECUTORS", "Job", "Workers", "run_jobs"]

make_lazy(__name__)
