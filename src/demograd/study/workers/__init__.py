"""Jobs, and who runs them."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.study.workers.workers import EXECUTORS, Job, Workers, get_ready, run_jobs

__all__ = ["EXECUTORS", "Job", "Workers", "get_ready", "run_jobs"]

make_lazy(__name__)
