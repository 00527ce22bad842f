"""Jobs, and who runs them."""

from demograd.study.engine.job import Job
from demograd.study.engine.workers import EXECUTORS, Workers, run_jobs

__all__ = ["EXECUTORS", "Job", "Workers", "run_jobs"]
