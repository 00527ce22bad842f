"""A study before it is run: its cells, operations, memory, and time here and on several workers."""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heapreplace
from itertools import groupby

import torch

from demograd.learn import FineTuning
from demograd.learn.held_weights import HELD_IN_MEMORY
from demograd.models import Weights
from demograd.models.load import DTYPES
from demograd.observe.observe import PACK_TOKENS
from demograd.study.language_model.demonstration_sets import DemonstrationSets
from demograd.study.language_model.grid import cells, cells_by_world
from demograd.study.language_model.grid import networks as networks_of
from demograd.study.language_model.load_tasks import load_tasks
from demograd.study.language_model.measures import NETWORK_MEASURES, metrics_of_fine_tuning
from demograd.study.language_model.networks import Network
from demograd.study.language_model.prompts import reader_of
from demograd.study.language_model.spec import Study
from demograd.study.language_model.turns import held_bytes, sets_at_once
from demograd.study.plan.blueprint import Blueprint, blueprint_of
from demograd.study.plan.flops import Flops, observing, training
from demograd.study.plan.pace import PASSES, Pace, loading_seconds, measuring_seconds
from demograd.study.plan.timing import Sample, pace_here, sample_of
from demograd.study.plan.work import WorldWork, trained_at_a_time, work_of
from demograd.study.rows import similarity
from demograd.study.spec.learning_rates import resolved
from demograd.study.unit import are_few
from demograd.words import Row

MASTER = 4
"""Bytes of a float32 number."""


@dataclass(frozen=True)
class PlannedJob:
    """The work in worlds that share a matrix, a part of it, or a measure of a network alone."""

    network: Network
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The work, memory and time of a study."""

    study: Study
    """With every learning rate filled in."""
    networks: Sequence[Network]
    """In the order in which they are loaded."""
    work: Sequence[WorldWork]
    """In every world; none where only networks are measured."""
    blueprints: Mapping[str, Blueprint]
    """Model → blueprint; checkpoints of one model share one."""
    paces: Mapping[str, Pace]
    starting: float
    """Seconds in which tasks are loaded and prompts are made, as measured while planning."""
    table: float
    """Seconds that the results table takes, once all cells are there."""

    @property
    def measured(self) -> list[str]:
        """Measures of each network alone."""
        return [measure for measure in NETWORK_MEASURES if measure in self.study.measures]

    @property
    def cells(self) -> int:
        return sum(world_work.cells for world_work in self.work)

    @cached_property
    def flops(self) -> Flops:
        """Operations of all networks' passes."""
        whole = Flops()
        for world_work in self.work:
            blueprint = self.blueprints[world_work.world.model]
            for observation in world_work.observations:
                whole += observing(blueprint, observation.sizes)
            for tuning in world_work.tunings:
                method = self.study.method(tuning.method, tuning.learning_rate)
                for trained in tuning.trained:
                    whole += training(blueprint, trained, method).times(tuning.rates)
                whole += observing(blueprint, tuning.after).times(tuning.observations)
        return whole

    def jobs(self, workers: int) -> list[PlannedJob]:
        """Every network's measures and the work of every group of worlds, in the order in which they are handed out to
        so many workers; of few groups, the longest methods first (`unit.shared_out`)."""
        alone = {
            network: [
                PlannedJob(network, measuring_seconds(self.study, self.blueprints[network[0]], measure))
                for measure in self.measured
            ]
            for network in self.networks
        }
        groups = [[*group] for _, group in groupby(self.work, key=lambda world_work: world_work.world.group)]
        if not are_few(sum(bool(works[0].tunings) for works in groups), workers):
            for works in groups:
                alone[works[0].network].append(self._job_of(works))
            return [job for jobs in alone.values() for job in jobs]
        untuned = [self._job_of([replace(work, tunings=[]) for work in works]) for works in groups]
        tuned = [
            self._job_of([replace(work, observations=[], tunings=[work.tunings[place]]) for work in works])
            for works in groups
            for place in range(len(works[0].tunings))
        ]
        measured = [job for jobs in alone.values() for job in jobs]
        return [*measured, *untuned, *sorted(tuned, key=lambda job: -job.seconds)]

    def _job_of(self, works: Sequence[WorldWork]) -> PlannedJob:
        return PlannedJob(works[0].network, sum(sum(self._parts_of(work).values()) for work in works))

    @property
    def parts(self) -> dict[str, float]:
        """Kind of work → seconds on one worker."""
        seconds = Counter[str]()
        for world_work in self.work:
            seconds.update(self._parts_of(world_work))
        alone = {
            "networks alone": sum(
                measuring_seconds(self.study, self.blueprints[network[0]], measure)
                for network in self.networks
                for measure in self.measured
            ),
            "starting and loading": self.starting + sum(map(self.loading, self.networks)),
            "table": self.table,
        }
        return {name: value for name, value in {**seconds, **alone}.items() if value}

    @property
    def rate(self) -> float:
        """Operations a second over all passes."""
        return self.flops.total / sum(self.parts[name] for name in PASSES if name in self.parts)

    def _parts_of(self, work: WorldWork) -> dict[str, float]:
        model = work.world.model
        return self.paces[model].parts(self.study, self.blueprints[model], work)

    def loading(self, network: Network) -> float:
        """Seconds until a network is ready: an untrained one is drawn in the shape of the trained one."""
        model, weights, _ = network
        drawing = self.paces[model].drawing if weights != "trained" else 0.0
        return loading_seconds(self.study, self.blueprints[model]) + drawing

    @cached_property
    def memory(self) -> int:
        """The most bytes that one worker holds at once, over all networks and methods."""
        held = [network_bytes(self.study, self.blueprints[model], weights) for model, weights, _ in self.networks]
        return max(
            held
            + [peak_bytes(self.study, self.blueprints[world_work.world.model], world_work) for world_work in self.work]
        )

    def seconds(self, workers: int = 1) -> float:
        """From the start to the table, on workers that are each as fast as this process."""
        return makespan(self.jobs(workers), workers, self.loading) + self.starting + self.table


def plan_study(study: Study, say: Callable[[str], None] = lambda sentence: None) -> Plan:
    """Plan the run of a study; no weights are loaded, and none downloaded.

    Raises:
        UserError: something in the study cannot work.
    """
    started = time.perf_counter()
    study, tasks = load_tasks(study, say)
    study, _ = resolved(study)
    sets = DemonstrationSets(study, tasks, reader_of(study, study.models[0]))
    blueprints: dict[str, Blueprint] = {}
    for name in study.models:
        checkpoint = blueprints and not isinstance(study.model, list)  # of the same shape as the first
        blueprints[name] = blueprints[study.models[0]] if checkpoint else blueprint_of(name)
    before = time.perf_counter()
    for sentence in sets.check():
        say(sentence)
    preparing = (time.perf_counter() - before) / max(len(sets.by_key), 1)  # a set
    for cell in cells(study):
        method = study.method(cell.method, cell.learning_rate)
        # a network without numbers has no derivative: whether this one has is found where the method is timed
        if isinstance(method, FineTuning):
            method = replace(method, linearised=False)
        method.check(blueprints[cell.world.model].anatomy)
        method.check_demonstrations(min(sets.set_of(cell.world).trained))
    work = work_of(study, cells_by_world(study), sets.sizes)
    starting = time.perf_counter() - started + preparing * len(work)  # a run prepares each world once more
    networks = [*networks_of(study)]
    paces: dict[str, Pace] = {}
    for name, blueprint in blueprints.items():
        alike = next((model for model in paces if blueprints[model] is blueprint), None)
        of_model = [world_work for world_work in work if world_work.world.model == name]
        paces[name] = paces[alike] if alike else pace_here(study, blueprint, _sample(study, blueprint, of_model, sets))
    return Plan(study, networks, work, blueprints, paces, starting, _table_seconds(study, work, blueprints))


def _sample(study: Study, blueprint: Blueprint, work: Sequence[WorldWork], sets: DemonstrationSets) -> Sample | None:
    """A sample of the world of median prompt length among those with most methods; None where there is no world."""
    if not work:
        return None
    most = max(len(world_work.tunings) for world_work in work)
    full = [world_work for world_work in work if len(world_work.tunings) == most]
    typical = sorted(full, key=lambda world_work: world_work.observations[-1].sizes.context)[len(full) // 2]
    return sample_of(study, blueprint, sets.prepared(typical.world), typical)


def _table_seconds(study: Study, work: Sequence[WorldWork], blueprints: Mapping[str, Blueprint]) -> float:
    """Every score has an interval, layer by layer: one score is timed, and the others are counted."""
    if not work:
        return 0.0
    scored: dict[tuple[Hashable, str], int] = {}
    for world_work in work:
        group = world_work.world.group
        scored[group, ""] = 1  # what no method matters for
        for tuning in world_work.tunings:
            # of FT at its end and on the way; of controls, and of the difference; of matching, whole and by layer
            scores_per_rate = 1 + tuning.stops + 2 * tuning.controls + 2 * study.matching
            scored[group, tuning.method] = tuning.rates * scores_per_rate
    sets = max(world_work.sets for world_work in work)
    world = work[0].world
    layers, queries = blueprints[world.model].layers, study.queries_of(world.task)
    scores = [torch.randn(queries, layers) for _ in range(sets)]
    started = time.perf_counter()
    list(similarity(list(range(sets)), Row(metric="sim_aou"), scores))
    once = time.perf_counter() - started
    return once * len(metrics_of_fine_tuning(study)) * sum(scored.values())


def makespan(jobs: Sequence[PlannedJob], workers: int, loading: Callable[[Network], float]) -> float:
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


def peak_bytes(study: Study, blueprint: Blueprint, work: WorldWork) -> int:
    """The most bytes at once in a world; a graph keeps what blocks computed, of all that is trained at a time."""
    itemsize = DTYPES[study.dtype].itemsize
    weights = network_bytes(study, blueprint, work.world.weights)
    observing_bytes = max(
        (_observing(blueprint, observation.sizes.context, itemsize) for observation in work.observations), default=0
    )
    tuning_bytes = 0
    for tuning in work.tunings:
        method = study.method(tuning.method, tuning.learning_rate)
        trained, adam = 0, 0
        if isinstance(method, FineTuning):
            trained = sum(blueprint.trained_entries(method.parameters).values())
            adam = 2 * MASTER if method.optimizer == "adam" else 0
        together = trained_at_a_time(study, blueprint, tuning, work.sets)
        copies = together * trained * (itemsize + 2 * MASTER + adam)  # the original, its master and its gradient
        trainings = len(tuning.trained)
        sets = sets_at_once(study, blueprint.anatomy, method, trainings, work.sets)
        held = held_bytes(study, blueprint.anatomy, method, trainings) * sets
        tokens = max(sequence.tokens for sequences in tuning.trained for sequence in sequences)
        graph_layers = 1 if method.layer_causal else blueprint.layers
        activations = together * tokens * blueprint.activations_per_token * graph_layers * itemsize
        logits = 3 * tokens * blueprint.vocabulary * MASTER
        tuning_bytes = max(tuning_bytes, copies + activations + logits + min(held, HELD_IN_MEMORY))
    return weights + max(observing_bytes, tuning_bytes)


def network_bytes(study: Study, blueprint: Blueprint, weights: Weights) -> int:
    """Bytes of weights: an untrained network is drawn beside the trained one, a checkpoint compared with the last."""
    others = weights != "trained" or len(study.models) > 1
    return blueprint.parameters * DTYPES[study.dtype].itemsize * (2 if others else 1)


def _observing(blueprint: Blueprint, context: int, itemsize: int) -> int:
    """A pack behind the context's keys and values."""
    cache = 2 * context * blueprint.attention_width * blueprint.layers * itemsize
    return cache + (PACK_TOKENS + context) * blueprint.activations_per_token * itemsize
