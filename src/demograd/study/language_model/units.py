"""The units of a study of language models: measures of a network, observations of prompts, fine-tunings (cells)."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from demograd.errors import UserError
from demograd.metrics import METRICS
from demograd.models import Model
from demograd.observe import Observation
from demograd.study.language_model.cell import Progress, measure, measure_orders, observe_aligned, observe_untuned
from demograd.study.language_model.grid import Cell, World, cells_by_world, networks
from demograd.study.language_model.keys import Inputs, cell_key, network_key, observation_key, untuned_key
from demograd.study.language_model.measures import NETWORK_MEASURES
from demograd.study.language_model.networks import Network, label, loaded, measure_network, network_of
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import RunFolder
from demograd.study.unit import Unit
from demograd.study.workers.progress import JobWatch


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
    """ZSL and ICL of a world, and ICL under other orders of the demonstrations: what all its cells need."""

    kind: ClassVar[str] = "world"
    key: str
    study: Study = field(repr=False)
    world: World
    fingerprint: str
    """Fingerprint of the pretrained network."""
    zsl_key: str
    icl_key: str
    orders_key: str | None
    """None: the study looks at no other order."""
    versions: Mapping[str, int | str] = field(default_factory=dict, repr=False)
    """`metric NAME` and `measure NAME` → version, as its keys and those of its cells have them."""
    prepared: Prepared | None = field(default=None, repr=False)
    """The token ids, where it is computed."""
    _held: list[tuple[Observation, Observation]] = field(init=False, repr=False, default_factory=list)
    """ZSL and ICL, once they are read or observed."""

    def __str__(self) -> str:
        return str(self.world)

    @property
    def batch(self) -> Hashable:
        return self.world

    def is_done(self, folder: RunFolder) -> bool:
        observed = all(map(folder.has_observation, (self.zsl_key, self.icl_key)))
        return observed and (self.orders_key is None or folder.has_cell(self.orders_key))

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """Read or observe ZSL and ICL, for the cells that follow; keep the scores of other orders."""
        _require_metrics(self.versions)
        zsl, icl = self.observed(folder, watch)
        if self.orders_key is not None and not folder.has_cell(self.orders_key):
            progress = _progress(watch, str(self))
            record = measure_orders(self.study, self.model(), self.prompts, zsl, icl, progress)
            folder.save_cell(self.orders_key, record)

    def observed(self, folder: RunFolder, watch: JobWatch) -> tuple[Observation, Observation]:
        """ZSL and ICL, observed where the folder does not have them; held for all cells of the batch."""
        if not self._held:
            zsl = self._observation("ZSL", self.zsl_key, folder, watch)
            self._held.append((zsl, self._observation("ICL", self.icl_key, folder, watch)))
        return self._held[0]

    @cached_property
    def aligned_zsl(self) -> Observation:
        """ZSL with its queries where they stand in ICL, observed once for all cells of the batch."""
        return observe_aligned(self.study, self.model(), self.prompts)

    def _observation(self, setting: str, key: str, folder: RunFolder, watch: JobWatch) -> Observation:
        prompts = self.prompts.icl if setting == "ICL" else self.prompts.zsl

        def observe() -> Observation:
            model = self.model()
            watch.begin(str(self), setting, len(prompts.queries))
            return observe_untuned(self.study, setting, model, prompts, watch.done)

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
class FineTuning(Unit):
    """A cell: fine-tune on the demonstrations and on the controls, observe, and score against ICL."""

    kind: ClassVar[str] = "cell"
    key: str
    study: Study = field(repr=False)
    cell: Cell
    observations: PromptObservations

    def __str__(self) -> str:
        return str(self.cell)

    @property
    def needs(self) -> Sequence[Unit]:
        return (self.observations,)

    @property
    def batch(self) -> Hashable:
        return self.observations.batch

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """A setting that diverges is recorded as that, and said."""
        _require_metrics(self.observations.versions)
        observations = self.observations
        zsl, icl = observations.observed(folder, watch)
        method = self.study.method(self.cell.method, self.cell.learning_rate)
        record = measure(
            self.study,
            observations.model(),
            observations.prompts,
            method,
            zsl,
            icl,
            lambda: observations.aligned_zsl,
            _progress(watch, str(self)),
        )
        folder.save_cell(self.key, record)
        for setting, facts in record.facts["settings"].items():
            if facts["status"] != "ok":
                watch.say(f"{self}, {setting}: {facts['status']}")


def units_of(study: Study, inputs: Inputs) -> Iterator[Unit]:
    """All units of a study, network by network: what is measured on it alone, then world by world what all cells need,
    and the cells."""
    cells = cells_by_world(study)
    for network, worlds in networks(study).items():
        yield from _network_measurements(study, network, inputs)
        for world in worlds:
            observations = _prompt_observations(study, world, inputs)
            yield observations
            yield from (FineTuning(cell_key(study, cell, inputs), study, cell, observations) for cell in cells[world])


def equipped(units: Sequence[Unit], prepared: Callable[[World], Prepared]) -> list[Unit]:
    """The units of a batch with the token ids of their world."""
    first = units[0]
    if isinstance(first, NetworkMeasurement):
        return [*units]
    observations = first.observations if isinstance(first, FineTuning) else first
    assert isinstance(observations, PromptObservations)
    with_prompts = replace(observations, prepared=prepared(observations.world))
    return [
        replace(unit, observations=with_prompts) if isinstance(unit, FineTuning) else with_prompts for unit in units
    ]


def _network_measurements(study: Study, network: Network, inputs: Inputs) -> Iterator[NetworkMeasurement]:
    for measure_name in NETWORK_MEASURES:
        if measure_name in study.measures:
            key = network_key(study, *network, measure_name, inputs)
            yield NetworkMeasurement(key, study, network, inputs.networks[network[0]], measure_name)


def _prompt_observations(study: Study, world: World, inputs: Inputs) -> PromptObservations:
    looks_at_orders = {"reordering", "order_sensitivity"} & set(study.measures)
    return PromptObservations(
        key=untuned_key(study, world, "world", inputs),
        study=study,
        world=world,
        fingerprint=inputs.networks[world.model],
        zsl_key=observation_key(study, world, "ZSL", inputs),
        icl_key=observation_key(study, world, "ICL", inputs),
        orders_key=untuned_key(study, world, "orders", inputs) if looks_at_orders else None,
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
