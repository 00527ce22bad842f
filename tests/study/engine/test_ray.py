"""A real Ray cluster of two nodes on this machine, of which one is killed during the study."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.engine.jobs import Dies, Mistaken, Writes
from tests.study.engine.test_processes import Hearing

from demograd.errors import UserError
from demograd.study import Study, Workers, run_study
from demograd.study.engine import run_jobs

pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


class Killing(Hearing):
    """Kills the second node as soon as both are at work."""

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self.cluster, self.killed = cluster, False

    def begin(self, what: str, setting: str, total: int, worker: str = "") -> None:
        super().begin(what, setting, total, worker)
        if len(self.workers) == 2 and not self.killed:
            self.killed = True
            self.cluster.remove_node(self.cluster.worker_nodes.copy().pop(), allow_graceful=False)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves files and processes to the end of the process
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_study_survives_the_death_of_a_node_with_the_same_table(
    undisturbed: tuple[Study, bytes], tmp_path: Path, cluster: Any
) -> None:
    study, results = undisturbed
    watch = Killing(cluster)
    workers = Workers("ray", address=cluster.address, threads=1, memory=0.5)
    run = run_study(study, tmp_path / "out", watch, workers=workers)
    assert watch.killed and run.failed == ()
    # ZSL and ICL of two worlds, and FT and two controls of four cells; what ran on the node that died began again
    assert len(watch.begun) > 2 * 2 + 4 * 3
    assert (tmp_path / "out" / "results.parquet").read_bytes() == results


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_worker_that_is_killed_again_and_again_is_given_up(tmp_path: Path, cluster: Any) -> None:
    watch, workers = Hearing(), Workers("ray", address=cluster.address, threads=1)
    jobs = [Dies(tmp_path / "always", 99), Dies(tmp_path / "once", 1), Writes(tmp_path / "beside")]
    outcomes = [*run_jobs(jobs, workers, watch)]
    assert {name for outcome in outcomes for name in outcome.networks} == {"once", "beside"}
    assert len(watch.said) == 1 and watch.said[0].startswith("always: ") and "killed" in watch.said[0]
    with pytest.raises(UserError, match=r"^A blue model\. Expected: a red one\. Paint it\.$"):
        list(run_jobs([Mistaken()], workers, watch))


def test_without_a_cluster_there_the_user_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No Ray cluster at 127\.0\.0\.1:1"):
        list(run_jobs([], Workers("ray", address="127.0.0.1:1"), Hearing()))
