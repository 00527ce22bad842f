"""The units of a study of language models: measures of a network, observations of prompts, fine-tunings (cells on all
demonstration sets of a group)."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import ClassVar

from demograd.errors import UserError
from demograd.metrics import METRICS
from demograd.models import Model
from demograd.observe import Observation
from demograd.study.language_model.cell import measure
from demograd.study.language_model.grid import Cell, World, cells_by_world, networks
from demograd.study.language_model.keys import (
    Inputs,
    attention_queries,
    cell_key,
    fine_tuning_key,
    network_key,
    observation_key,
    orders_key,
    world_key,
)
from demograd.study.language_model.measures import NETWORK_MEASURES
from demograd.study.language_model.networks import Network, label, loaded, measure_network, network_of
from demograd.study.language_model.observing import ObservedSet, Progress, observe_aligned, observe_untuned
from demograd.study.language_model.orders import measure_orders
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import RunFolder
from demograd.study.unit import Unit
from demograd.study.workers.progress import JobWatch
from demograd.words import Setting


@dataclass(frozen=True, eq=False)
class NetworkMeasurement(Unit):
    """One measure of one network alone: no prompt, no fine-tuning."""

    kind: ClassVar[str] = "network measure"
    key: str
    study: Study = field(repr=False)
    network: Network
    fingerprint: str
    """Fingerprint of the pretrained network."""
    measure: str

    def __str__(self) -> str:
        return f"{label(self.study, self.network)} · {self.measure}"

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        model = loaded(self.study, self.network, self.fingerprint)
        folder.save_cell(self.key, measure_network(self.study, self.measure, model))


@dataclass(frozen=True, eq=False)
class PromptObservations(Unit):
    """ZSL and ICL of a world: what all cells on its demonstration set need, and matching of every other set."""

    kind: ClassVar[str] = "world"
    key: str
    study: Study = field(repr=False)
    world: World
    fingerprint: str
    """Fingerprint of the pretrained network."""
    zsl_key: str
    icl_key: str
    attention_queries: Mapping[str, int] = field(repr=False)
    """Setting → of how many of the first queries the attention is recorded."""
    versions: Mapping[str, int | str] = field(default_factory=dict, repr=False)
    """`metric NAME` and `measure NAME` → version, as its keys and those of its cells have them."""
    prepared: Prepared | None = field(default=None, repr=False)
    """The token ids, where it is computed."""
    cached: dict[str, Observation] = field(repr=False, default_factory=dict)
    """Key → observation, once it is read or observed: ZSL and ICL, ZSL being one for all units of a batch."""

    def __str__(self) -> str:
        return str(self.world)

    @property
    def batch(self) -> Hashable:
        return self.world.group

    def is_done(self, folder: RunFolder) -> bool:
        return all(map(folder.has_observation, (self.zsl_key, self.icl_key)))

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """Read or observe ZSL and ICL, for the cells that follow."""
        _require_metrics(self.versions)
        self.observed(folder, watch)

    def observed(self, folder: RunFolder, watch: JobWatch) -> ObservedSet:
        """ZSL and ICL, observed where the folder does not have them; cached for all cells of the batch."""
        keys = {"ZSL": self.zsl_key, "ICL": self.icl_key}
        for setting, key in keys.items():
            if key not in self.cached:
                self.cached[key] = self._observation(setting, key, folder, watch)
        zsl, icl = (self.cached[key] for key in keys.values())
        return ObservedSet(self.prompts, zsl, icl, aligned_zsl=lambda: self.aligned_zsl)

    @cached_property
    def aligned_zsl(self) -> Observation:
        """ZSL with its queries where they stand in ICL, observed once for all cells of the batch."""
        return observe_aligned(self.study, self.model(), self.prompts)

    def _observation(self, setting: str, key: str, folder: RunFolder, watch: JobWatch) -> Observation:
        prompts = self.prompts.icl if setting == "ICL" else self.prompts.zsl

        def observe() -> Observation:
            model = self.model()
            watch.begin(str(self), setting, len(prompts.queries))
            return observe_untuned(self.study, setting, model, prompts, watch.done, self.attention_queries[setting])

        return folder.observation(key, observe, watch.say)

    def model(self) -> Model:
        """Its network, loaded."""
        return loaded(self.study, network_of(self.world), self.fingerprint)

    @property
    def prompts(self) -> Prepared:
        """The token ids."""
        assert self.prepared is not None, "what is computed was equipped"
        return self.prepared


@dataclass(frozen=True, eq=False)
class Orders(Unit):
    """ICL under other orders of one demonstration set's demonstrations."""

    kind: ClassVar[str] = "reordering"
    key: str
    observations: tuple[PromptObservations, ...]
    """The worlds of all demonstration sets of its group."""
    place: int
    """The place of its own among them."""

    def __str__(self) -> str:
        return f"{self.own.world} · other orders"

    @property
    def own(self) -> PromptObservations:
        """The world whose demonstrations are reordered."""
        return self.observations[self.place]

    @property
    def needs(self) -> Sequence[Unit]:
        return self.observations

    @property
    def batch(self) -> Hashable:
        return self.own.batch

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """Observe, and keep the scores."""
        _require_metrics(self.own.versions)
        observed = [unit.observed(folder, watch) for unit in self.observations]
        own = self.own
        folder.save_cell(
            self.key, measure_orders(own.study, own.model(), observed, self.place, _progress(watch, str(own)))
        )


@dataclass(frozen=True, eq=False)
class FineTuning(Unit):
    """Cells that differ in their demonstration set alone: fine-tune on every set and on its controls, all together,
    observe, and score each against ICL on every set."""

    kind: ClassVar[str] = "fine-tuning"
    is_long: ClassVar[bool] = True
    key: str
    study: Study = field(repr=False)
    cells: tuple[Cell, ...]
    """One for each demonstration set."""
    cell_keys: tuple[str, ...] = field(repr=False)
    """Names the file of each."""
    observations: tuple[PromptObservations, ...] = field(repr=False)
    """The world of each."""

    def __str__(self) -> str:
        cell = self.cells[0]
        return f"{cell.world.without_set} · {cell.method} {cell.learning_rate:g}"

    @property
    def needs(self) -> Sequence[Unit]:
        return self.observations

    @property
    def batch(self) -> Hashable:
        return self.observations[0].batch

    def is_done(self, folder: RunFolder) -> bool:
        return all(map(folder.has_cell, self.cell_keys))

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """Compute the cells that the folder lacks, each kept once it is scored; a setting that diverges is recorded as
        that, and said."""
        first = self.observations[0]
        _require_metrics(first.versions)
        observed = [unit.observed(folder, watch) for unit in self.observations]
        places = [place for place, key in enumerate(self.cell_keys) if not folder.has_cell(key)]
        method = self.study.method(self.cells[0].method, self.cells[0].learning_rate)
        records = measure(self.study, first.model(), observed, places, method, _progress(watch, str(self)), watch.say)
        for place, record in records:
            folder.save_cell(self.cell_keys[place], record)
            for setting, facts in record.facts["settings"].items():
                if facts["status"] != "ok":
                    watch.say(f"{self.cells[place]}, {setting}: {facts['status']}")


def units_of(study: Study, inputs: Inputs) -> Iterator[Unit]:
    """All units of a study, network by network: what is measured on it alone, then group by group what all cells need,
    and the cells."""
    cells = cells_by_world(study)
    for network, worlds in networks(study).items():
        yield from _network_measurements(study, network, inputs)
        for _, group in groupby(worlds, key=lambda world: world.group):
            yield from _units_of_group(study, [*group], cells, inputs)


def _units_of_group(
    study: Study, worlds: Sequence[World], cells: Mapping[World, Sequence[Cell]], inputs: Inputs
) -> Iterator[Unit]:
    """The units of worlds that differ in their demonstration set alone."""
    observations = tuple(_prompt_observations(study, world, worlds, inputs) for world in worlds)
    yield from observations
    if {"reordering", "order_sensitivity"} & set(study.measures):
        for place, world in enumerate(worlds):
            yield Orders(orders_key(study, world, worlds, inputs), observations, place)
    # every set has the same methods and rates: no rule takes a set away from some of them
    for same_method in zip(*(cells[world] for world in worlds), strict=True):
        keys = tuple(cell_key(study, cell, worlds, inputs) for cell in same_method)
        yield FineTuning(fine_tuning_key(same_method[0], keys, inputs), study, same_method, keys, observations)


def equipped(units: Sequence[Unit], prepared: Callable[[World], Prepared]) -> list[Unit]:
    """The units of a batch with the token ids of their worlds."""
    worlds = {unit.world: unit for unit in units if isinstance(unit, PromptObservations)}
    for unit in units:
        if isinstance(unit, FineTuning | Orders):
            worlds |= {observations.world: observations for observations in unit.observations}
    cached: dict[str, Observation] = {}
    with_prompts = {
        world: replace(observations, prepared=prepared(world), cached=cached) for world, observations in worlds.items()
    }

    def equip(unit: Unit) -> Unit:
        if isinstance(unit, PromptObservations):
            return with_prompts[unit.world]
        if isinstance(unit, FineTuning | Orders):
            observations = tuple(with_prompts[observations.world] for observations in unit.observations)
            return replace(unit, observations=observations)
        return unit

    return [equip(unit) for unit in units]


def _network_measurements(study: Study, network: Network, inputs: Inputs) -> Iterator[NetworkMeasurement]:
    for measure_name in NETWORK_MEASURES:
        if measure_name in study.measures:
            key = network_key(study, *network, measure_name, inputs)
            yield NetworkMeasurement(key, study, network, inputs.networks[network[0]], measure_name)


def _prompt_observations(study: Study, world: World, worlds: Sequence[World], inputs: Inputs) -> PromptObservations:
    return PromptObservations(
        key=world_key(study, world, worlds, inputs),
        study=study,
        world=world,
        fingerprint=inputs.networks[world.model],
        zsl_key=observation_key(study, world, "ZSL", worlds, inputs),
        icl_key=observation_key(study, world, "ICL", worlds, inputs),
        attention_queries={
            setting: attention_queries(study, setting, world, worlds) for setting in (Setting.ZSL, Setting.ICL)
        },
        versions=inputs.versions,
    )


def _require_metrics(versions: Mapping[str, int | str]) -> None:
    """That this process has the metrics that the keys were made with: without one, a cell would lack its scores.

    Raises:
        UserError: it does not, as where a notebook registered a metric and another process computes.
    """
    local = {f"metric {name}": metric.version_in_keys for name, metric in METRICS.items()}
    lacking = [name for name, version in versions.items() if name.startswith("metric ") and local.get(name) != version]
    if lacking:
        raise UserError(
            f"The process that computes does not have the {lacking[0]}",
            "one of an installed package, or of the script that starts the run",
            "Put it there, or run in one process",
        )


def _progress(watch: JobWatch, title: str) -> Progress:
    def begin(setting: str, total: int) -> Callable[[int], None]:
        watch.begin(title, setting, total)
        return watch.done

    return begin
