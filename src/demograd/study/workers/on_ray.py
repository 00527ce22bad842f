"""Jobs as tasks of a Ray cluster, which places them, and starts them again when a node dies."""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from demograd.errors import UserError
from demograd.study.workers.progress import INTERVAL, Message, Sending, Watch, tell
from demograd.study.workers.workers import Job

AHEAD = 256
"""Tasks at once where no number is given: those that wait tell a cluster that grows by itself how much there is."""
REACHED_IN = 10.0
"""Seconds in which a cluster must answer."""
RETRIES = 3
"""Times that Ray starts a task again whose worker was killed."""
PATIENCE = 5.0
"""Seconds after which the user is told that no node has what a task needs."""
KILLED = "the Ray worker that worked on it was killed, time and again"

Resources = Mapping[str, float]
"""Ray's name of a resource → amount: CPU, GPU, and memory in bytes."""


def on_ray(
    jobs: Iterable[Job],
    watch: Watch,
    *,
    number: int | None,
    threads: int,
    address: str | None,
    gpus: float,
    memory: int | None,
) -> Iterator[Job]:
    """Run the jobs as Ray tasks, handed over in the order in which they come; where there is none, no cluster is asked.

    The run folder must be one that all nodes see.

    Args:
        jobs: taken as the cluster takes them.
        watch: told how far the work is.
        number: of tasks at once; None: as many as the cluster has room for.
        threads: of torch, and so CPUs, of a task.
        address: of a running cluster; None: what RAY_ADDRESS says, or a new one on this machine.
        gpus: that a task needs.
        memory: bytes that a task needs.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """
    jobs = iter(jobs)
    first = next(jobs, None)
    if first is None:
        return
    ray, is_ours = _ray(address)
    # `max_calls=0`: a worker with a GPU, too, lives on, and with it the network that it has loaded
    task = ray.remote(num_cpus=threads, num_gpus=gpus, memory=memory, max_retries=RETRIES, max_calls=0)(_run)
    messages = _queue(ray)
    settings = _settings()
    ended = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
    jobs, running = chain([first], jobs), dict[Any, Job]()
    request = {"CPU": float(threads), "GPU": gpus, "memory": float(memory or 0)}
    started, warned = time.monotonic(), False
    try:
        while True:
            while len(running) < (number or AHEAD) and (job := next(jobs, None)) is not None:
                running[task.remote(job, messages, threads, Path.cwd(), settings)] = job
            if not running:
                return
            done, _ = ray.wait(list(running), timeout=INTERVAL)
            if not warned and time.monotonic() - started > PATIENCE:
                warned = True
                if (sentence := _shortage(ray, request)) is not None:
                    watch.say(sentence)
            _relay(messages, watch)
            for reference in done:
                job = running.pop(reference)
                try:
                    ray.get(reference)
                    yield job
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error  # as the job raised it
                except ended:
                    if job.give_up(KILLED, watch):
                        running[task.remote(job, messages, threads, Path.cwd(), settings)] = job
            _relay(messages, watch)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        messages.shutdown(force=True)
        if is_ours:
            ray.shutdown()


def _ray(address: str | None) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether it was not before."""
    try:
        import ray
        import ray.exceptions
        import ray.util.queue
    except ImportError as error:
        raise UserError("--executor ray without Ray", "Ray installed", "Try pip install 'demograd[ray]'") from error
    if ray.is_initialized():
        return ray, False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    check_reachable(address)
    of_its_own: dict[str, Any] = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **of_its_own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from error
    return ray, True


def check_reachable(address: str | None) -> None:
    """Whether somebody listens at an address with a port; Ray itself tries for many minutes.

    Raises:
        UserError: nobody does.
    """
    address = address or os.environ.get("RAY_ADDRESS", "")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or "://" in host + colon + port:  # auto, local, or of a client that is not Ray's own
        return
    if not port.isdecimal():
        raise _no_cluster(address, ValueError("its port is no number"))
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_IN).close()
    except (OSError, OverflowError, ValueError) as error:  # of a port too, which may be any digits
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> UserError:
    why = str(error).strip().splitlines()[0]
    return UserError(
        f"No Ray cluster at {address or 'RAY_ADDRESS'} ({why})",
        "the address of a running one",
        "Start one with `ray start --head`, or leave --address off",
    )


def _queue(ray: Any) -> Any:
    """On this node: it must not die with another one."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.util.queue.Queue(actor_options={"num_cpus": 0, "scheduling_strategy": this_node})


def _relay(messages: Any, watch: Watch) -> None:
    for message in messages.get_nowait_batch(messages.qsize()):
        tell(watch, message)


def _run(job: Job, messages: Any, threads: int, folder: Path, settings: dict[str, str]) -> None:
    """In a worker of the cluster; `folder` is where relative paths begin, `settings` are of the environment."""
    for name in _settings().keys() - settings.keys():  # of another run that this worker has served
        del os.environ[name]
    os.environ.update(settings)
    if folder.is_dir():
        os.chdir(folder)
    torch.set_num_threads(threads)

    def send(message: Message) -> None:
        messages.put(message)

    watch = Sending(send, f"{socket.gethostname()} {os.getpid()}")
    job.run(watch)
    watch.finish()


def _settings() -> dict[str, str]:
    """demograd's own, of the environment: others may be of this machine alone, or secret."""
    return {name: value for name, value in os.environ.items() if name.startswith("DEMOGRAD_")}


def _shortage(ray: Any, request: Resources) -> str | None:
    """A sentence on what a job requests and what the nodes have; None: a node has it, if maybe not now.

    It is no mistake yet: a cluster that grows by itself is told of it by Ray, and may get such a node.
    """
    nodes: list[Resources] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(name, 0) >= number for name, number in request.items()) for node in nodes):
        return None
    offers = "; ".join(_in_words({name: node.get(name, 0) for name in request}) for node in nodes)
    return (
        f"Each job asks for {_in_words(request)}, and no node of the Ray cluster has that ({offers}): waiting for one"
    )


def _in_words(resources: Resources) -> str:
    return f"{resources['CPU']:g} CPUs, {resources['GPU']:g} GPUs, {resources['memory'] / 1e9:,.1f} GB"
