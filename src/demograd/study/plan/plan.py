"""A study before it is run: its cells, operations, memory, and time here and on several workers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from demograd.study.language_model.demonstration_sets import DemonstrationSets
from demograd.study.language_model.grid import cells, cells_by_world
from demograd.study.language_model.grid import networks as networks_of
from demograd.study.language_model.networks import Network
from demograd.study.language_model.prompts import reader_of
from demograd.study.load_tasks import load_tasks
from demograd.study.measures import NETWORK_MEASURES, metrics_of_fine_tuning
from demograd.study.plan.blueprint import Blueprint, blueprint_of
from demograd.study.plan.flops import Flops, observing, training
from demograd.study.plan.memory import network_bytes, peak_bytes
from demograd.study.plan.pace import Pace, Sample, pace_here, sample_of
from demograd.study.plan.reading import loading_seconds, measuring_seconds
from demograd.study.plan.schedule import Job, makespan
from demograd.study.plan.work import WorldWork, work_of
from demograd.study.rows import similarity
from demograd.study.schema import Study
from demograd.study.spec.learning_rates import resolved
from demograd.words import Row


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    study: Study
    """With every learning rate filled in."""
    networks: Sequence[Network]
    """In the order in which they are loaded."""
    work: Sequence[WorldWork]
    """In every world; none where only networks are measured."""
    blueprints: Mapping[str, Blueprint]
    """By model; checkpoints of one model share one."""
    paces: Mapping[str, Pace]
    starting: float
    """Seconds in which tasks are loaded and prompts are made, as measured while planning."""
    table: float
    """Seconds that the results table takes, once all cells are there."""

    @property
    def measured(self) -> list[str]:
        """What is measured on each network alone."""
        return [what for what in NETWORK_MEASURES if what in self.study.measures]

    @property
    def cells(self) -> int:
        return sum(one.cells for one in self.work)

    @cached_property
    def flops(self) -> Flops:
        """Of all networks' passes."""
        whole = Flops()
        for one in self.work:
            blueprint = self.blueprints[one.world.model]
            for observation in one.observations:
                whole += observing(blueprint, observation.sizes)
            for tuning in one.tunings:
                method = self.study.method(tuning.method, tuning.learning_rate)
                for trained in tuning.trained:
                    each = training(blueprint, trained, method) + observing(blueprint, tuning.after)
                    whole += each.times(tuning.rates)
        return whole

    @cached_property
    def jobs(self) -> list[Job]:
        """Every network's measures and every world's work, in the order in which they are handed out."""
        of_network: dict[Network, list[Job]] = {
            network: [
                Job(network, measuring_seconds(self.study, self.blueprints[network[0]], what)) for what in self.measured
            ]
            for network in self.networks
        }
        for one in self.work:
            model = one.world.model
            seconds = self.paces[model].seconds(self.study, self.blueprints[model], one)
            of_network[one.network].append(Job(one.network, seconds))
        return [job for jobs in of_network.values() for job in jobs]

    def loading(self, network: Network) -> float:
        """Seconds until a network is ready: an untrained one is drawn in the shape of the trained one."""
        model, weights, _ = network
        drawing = self.paces[model].drawing if weights != "trained" else 0.0
        return loading_seconds(self.study, self.blueprints[model]) + drawing

    @cached_property
    def memory(self) -> int:
        """The most bytes that one worker holds at once, over all networks and methods."""
        held = [network_bytes(self.study, self.blueprints[model], weights) for model, weights, _ in self.networks]
        return max(held + [peak_bytes(self.study, self.blueprints[one.world.model], one) for one in self.work])

    def seconds(self, workers: int = 1) -> float:
        """From the start to the table, on workers that are each as fast as this process."""
        trying = next((pace.trying for pace in self.paces.values()), 0.0) if self.study.methods else 0.0
        return makespan(self.jobs, workers, self.loading) + self.starting + trying + self.table


def plan_study(study: Study, say: Callable[[str], None] = lambda sentence: None) -> Plan:
    """What running the study will take; no weights are loaded, and none downloaded.

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
    preparing = (time.perf_counter() - before) / max(len(sets.known), 1)  # a set
    for cell in cells(study):
        study.method(cell.method, cell.learning_rate).check(blueprints[cell.world.model].anatomy)
    work = work_of(study, cells_by_world(study), sets.sizes)
    starting = time.perf_counter() - started + preparing * len(work)  # a run prepares each world once more
    networks = [*networks_of(study)]
    paces: dict[str, Pace] = {}
    for name, blueprint in blueprints.items():
        alike = next((one for one in paces if blueprints[one] is blueprint), None)
        of_model = [one for one in work if one.world.model == name]
        paces[name] = paces[alike] if alike else pace_here(study, blueprint, _sample(study, of_model, sets))
    return Plan(study, networks, work, blueprints, paces, starting, _table_seconds(study, work, blueprints))


def _sample(study: Study, work: Sequence[WorldWork], sets: DemonstrationSets) -> Sample | None:
    """Of the world in the middle, by the length of its prompts, of those that do most; None where there is none."""
    if not work:
        return None
    most = max(len(one.tunings) for one in work)
    full = [one for one in work if len(one.tunings) == most]
    typical = sorted(full, key=lambda one: one.observations[-1].sizes.context)[len(full) // 2]
    return sample_of(study, sets.prepared(typical.world), [typical])


def _table_seconds(study: Study, work: Sequence[WorldWork], blueprints: Mapping[str, Blueprint]) -> float:
    """Intervals are resampled for every score, layer by layer: one score is timed, and the others are counted."""
    if not work:
        return 0.0
    groups: dict[tuple[str, str, str, int, str], tuple[int, set[int]]] = {}
    for one in work:
        world = one.world
        for tuning in one.tunings:
            group = (world.model, world.weights, world.task, world.k, tuning.method)
            groups.setdefault(group, (tuning.rates, set()))[1].add(world.seed)
    sets = max((len(seeds) for _, seeds in groups.values()), default=1)
    world = work[0].world
    layers, queries = blueprints[world.model].layers, study.queries_of(world.task)
    scores = [torch.randn(queries, layers) for _ in range(sets)]
    started = time.perf_counter()
    list(similarity(list(range(sets)), Row(metric="sim_aou"), scores))
    once = time.perf_counter() - started
    metrics = len(metrics_of_fine_tuning(study))
    each = metrics * (1 + 2 * len(study.controls))  # of FT, of each control, and the difference between the two
    return once * each * sum(rates for rates, _ in groups.values())
