"""A real Ray cluster of two nodes on this machine, of which one is killed during the study."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.study.workers.jobs import Dies, Mistaken, Tells, WaitsOnce, Writes
from tests.study.workers.test_processes import Hearing

from demograd.errors import UserError
from demograd.study import Study, Workers, run_study
from demograd.study.workers import run_jobs
from demograd.words import ALLOW_PICKLE

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")  # Ray needs it too
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


pytestmark = [  # Ray leaves files and processes to the end of the process
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("ResourceWarning", "DeprecationWarning", "FutureWarning")
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        cluster.add_node(**NODE)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def connected(cluster: Any) -> Iterator[Workers]:
    """Workers of a process that is already connected to the cluster, as a notebook may be.

    Its runs share the cluster's workers, which need seconds to load torch.
    """
    import ray

    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    yield Workers("ray", threads=1)
    ray.shutdown()


class Killing(Hearing):
    """A listener that kills a node, but the head, as soon as one of its workers begins."""

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self.cluster, self.killed = cluster, False

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        super().begin(title, setting, total, worker)
        if not self.killed and (node := node_of(self.cluster, worker)) is not None:
            self.killed = True
            self.cluster.remove_node(node, allow_graceful=False)


def node_of(cluster: Any, worker: str) -> Any:
    """The node, other than the head, on which a worker runs that is called `host pid`."""
    parent = psutil.Process(int(worker.split()[-1])).ppid()
    return next((node for node in cluster.worker_nodes if node.all_processes["raylet"][0].process.pid == parent), None)


def test_without_a_cluster_there_the_user_is_told() -> None:
    with pytest.raises(UserError, match=r"No Ray cluster at 127\.0\.0\.1:1"):
        list(run_jobs([Writes(Path("never"))], Workers("ray", address="127.0.0.1:1"), Hearing()))


def test_where_nothing_is_left_to_do_no_cluster_is_asked() -> None:
    assert list(run_jobs([], Workers("ray", address="127.0.0.1:1"), Hearing())) == []


@pytest.mark.slow
def test_a_study_survives_the_death_of_a_node_with_the_same_table(
    undisturbed: tuple[Study, bytes], tmp_path: Path, cluster: Any
) -> None:
    study, results = undisturbed
    watch = Killing(cluster)
    workers = Workers("ray", address=cluster.address, threads=1, memory=0.5)
    run = run_study(study, tmp_path / "out", watch, workers=workers)
    assert watch.killed and run.failed == ()
    assert (tmp_path / "out" / "results.parquet").read_bytes() == results


@pytest.mark.slow
def test_a_worker_that_is_killed_again_and_again_is_given_up(
    tmp_path: Path, connected: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("demograd.study.workers.on_ray"), "RETRIES", 1)  # each loads torch
    watch = Hearing()
    jobs = [Dies(tmp_path / "always", 99), Dies(tmp_path / "once", 1), Writes(tmp_path / "beside")]
    ended = [*run_jobs(jobs, connected, watch)]
    assert {job.file.name for job in ended} == {"once", "beside"}
    assert len(watch.sentences) == 1 and watch.sentences[0].startswith("always: ") and "killed" in watch.sentences[0]
    assert len((tmp_path / "always").read_text()) == 2


def test_a_users_mistake_in_a_worker_is_told_as_one(connected: Workers) -> None:
    with pytest.raises(UserError, match=r"^A blue model\. Expected: a red one\. Paint it\.$"):
        list(run_jobs([Mistaken()], connected, Hearing()))


def test_what_a_user_allows_counts_for_the_workers_of_all_nodes_and_only_for_that_run(
    tmp_path: Path, connected: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    for name, value in (("allowed", "1"), ("not allowed", "")):
        if value:
            monkeypatch.setenv(ALLOW_PICKLE, value)
        else:
            monkeypatch.delenv(ALLOW_PICKLE)
        list(run_jobs([Tells(tmp_path / name)], connected, Hearing()))
        answers.append((tmp_path / name).read_text().split())
    (allowed, first), (not_allowed, second) = answers
    assert (allowed, not_allowed) == ("True", "False") and first == second  # the same worker, in both runs


class Leaving(Hearing):
    """A listener that interrupts the run at the first sentence."""

    def say(self, sentence: str) -> None:
        super().say(sentence)
        raise KeyboardInterrupt


def test_what_no_node_has_is_said_and_not_waited_for_in_silence(
    tmp_path: Path, connected: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("demograd.study.workers.on_ray"), "PATIENCE", 0.5)
    watch = Leaving()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([Writes(tmp_path / "never")], replace(connected, gpus=2.0, memory=1000.0), watch))
    (sentence,) = watch.sentences
    assert "asks for 1 CPUs, 2 GPUs, 1,000.0 GB" in sentence and "(1 CPUs, 0 GPUs, " in sentence
    list(run_jobs([Writes(tmp_path / "seconds", 1.0)], connected, Hearing()))
    assert len(watch.sentences) == 1 and (tmp_path / "seconds").exists()


@pytest.mark.slow
def test_what_ran_on_a_node_that_died_is_run_again_on_another(tmp_path: Path, cluster: Any, connected: Workers) -> None:
    for _ in range(2):  # the head has no GPU, so the job runs on one of these
        cluster.add_node(**NODE, num_gpus=1)
    watch, job = Killing(cluster), WaitsOnce(tmp_path / "processes")
    assert list(run_jobs([job], replace(connected, gpus=1.0), watch)) == [job]
    first, second = job.file.read_text().split()
    assert watch.killed and first != second
