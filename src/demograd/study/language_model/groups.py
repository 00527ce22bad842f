"""What a run folder holds of worlds, and of cells, that differ only in their demonstration set: seed by seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import Tensor

from demograd.observe import Observation
from demograd.study.language_model.grid import Cell, World, demonstrations_label
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.spec import Study
from demograd.study.language_model.units import FineTuning, PromptObservations, units_of
from demograd.study.store.failures import failures, load_or_failed
from demograd.study.store.folder import CellRecord, RunFolder


@dataclass(frozen=True, eq=False)
class WorldGroup:
    """The worlds of one model, weights, task and k, in the order of their seeds."""

    study: Study = field(repr=False)
    folder: RunFolder
    observations: tuple[PromptObservations, ...]
    """The units of these worlds."""
    fine_tunings: tuple[FineTuning, ...]
    """The units of their cells."""

    @property
    def worlds(self) -> list[World]:
        """In the order of their seeds."""
        return [unit.world for unit in self.observations]

    @property
    def world(self) -> World:
        """The first: what all share, but for seed and order."""
        return self.worlds[0]

    @property
    def seeds(self) -> list[int]:
        """The demonstration sets."""
        return [world.seed for world in self.worlds]

    @cached_property
    def k_used(self) -> dict[int, int]:
        """Seed → how many demonstrations fitted."""
        fitted = self.folder.read_json("demonstrations.json")
        return {world.seed: fitted[demonstrations_label(world)] for world in self.worlds}

    @cached_property
    def failed(self) -> list[str]:
        """Why a world was not observed, seed by seed; `ok` where it was."""
        failed = failures(self.folder, [unit.key for unit in self.observations])
        return [failed[unit.key].status if unit.key in failed else "ok" for unit in self.observations]

    @property
    def is_observed(self) -> bool:
        """Whether every world was."""
        return set(self.failed) == {"ok"}

    @cached_property
    def zsl(self) -> list[Observation]:
        """The observations of each seed, without extras; one and the same where no demonstrations matter."""
        keys = dict.fromkeys(unit.zsl_key for unit in self.observations)
        loaded = {key: self.folder.load_observation(key, extras=False) for key in keys}
        return [loaded[unit.zsl_key] for unit in self.observations]

    @cached_property
    def icl(self) -> list[Observation]:
        """The observations of each seed, without extras."""
        return [self.folder.load_observation(unit.icl_key, extras=False) for unit in self.observations]

    def with_extras(self) -> tuple[list[Observation], list[Observation]]:
        """ZSL and ICL of each seed with all that was recorded; loaded anew, for it can be much."""
        zsl, icl = zip(*((unit.zsl_key, unit.icl_key) for unit in self.observations), strict=True)
        return list(map(self.folder.load_observation, zsl)), list(map(self.folder.load_observation, icl))

    @property
    def has_orders(self) -> bool:
        """Whether ICL was observed under other orders."""
        return self.observations[0].orders_key is not None

    @cached_property
    def records(self) -> list[CellRecord]:
        """What was kept of ICL under other orders."""
        return [self.folder.load_cell(unit.orders_key) for unit in self.observations if unit.orders_key is not None]

    def scores(self, setting: str, metric: str) -> list[Tensor] | None:
        """A metric's values, seed by seed; None where any seed has none."""
        return _scores(self.records, setting, metric)

    @cached_property
    def groups(self) -> list["CellGroup"]:
        """All groups of cells in these worlds."""
        groups: dict[tuple[str, float], list[FineTuning]] = {}
        for unit in self.fine_tunings:
            groups.setdefault((unit.cell.method, unit.cell.learning_rate), []).append(unit)
        return [CellGroup(self, tuple(group)) for group in groups.values()]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """The cells of one method at one learning rate in such worlds."""

    untuned: WorldGroup
    fine_tunings: tuple[FineTuning, ...]

    @property
    def cell(self) -> Cell:
        """The first."""
        return self.fine_tunings[0].cell

    @property
    def cells(self) -> list[Cell]:
        """In the order of their seeds."""
        return [unit.cell for unit in self.fine_tunings]

    @cached_property
    def records(self) -> list[CellRecord]:
        """What was kept of each cell; of one that failed, that."""
        settings = ["FT", *(f"FT_{control}" for control in self.untuned.study.controls)]
        return [load_or_failed(self.untuned.folder, unit.key, settings) for unit in self.fine_tunings]

    def status(self, setting: str) -> list[str]:
        """`ok`, or why the setting has no numbers, seed by seed."""
        return [record.facts["settings"][setting]["status"] for record in self.records]

    def order_status(self) -> list[str]:
        """`ok`, or why FT on other orders of the demonstrations has no numbers, seed by seed."""
        return [record.facts["settings"]["FT"].get("order_sensitivity", "ok") for record in self.records]

    def scores(self, setting: str, metric: str) -> list[Tensor] | None:
        """A metric's values, seed by seed; None where any seed has none."""
        return _scores(self.records, setting, metric)

    def predicted(self, setting: str) -> list[Observation]:
        """What the model predicted in a setting of FT: ZSL's observation with that setting's label scores."""
        return [
            replace(zsl, label_log_probs=record.tensors[f"{setting}/label_log_probs"])
            for zsl, record in zip(self.untuned.zsl, self.records, strict=True)
        ]

    def attending(self) -> list[Observation]:
        """ZSL's observation with the attention logits of FT."""
        return [
            replace(
                zsl,
                attention_logits=list(
                    record.tensors["FT/attention_logits"].split([row.shape[-1] for row in zsl.attention_logits], dim=-1)
                ),
            )
            for zsl, record in zip(self.untuned.zsl, self.records, strict=True)
        ]


def untuned_groups(study: Study, folder: RunFolder) -> Iterator[WorldGroup]:
    """All groups of worlds that were observed with every demonstration set, in the order of the grid; what a group
    loads is let go with it."""
    return (untuned for untuned in _all_groups(study, folder) if untuned.is_observed)


def failed_groups(study: Study, folder: RunFolder) -> Iterator[WorldGroup]:
    """The others: the sets that could be observed are no fair sample."""
    return (untuned for untuned in _all_groups(study, folder) if not untuned.is_observed)


def _all_groups(study: Study, folder: RunFolder) -> Iterator[WorldGroup]:
    groups: dict[World, tuple[list[PromptObservations], list[FineTuning]]] = {}
    for unit in units_of(study, read_inputs(folder)):
        if isinstance(unit, PromptObservations):
            groups.setdefault(replace(unit.world, seed=0, permutation=0), ([], []))[0].append(unit)
        if isinstance(unit, FineTuning):
            groups[replace(unit.cell.world, seed=0, permutation=0)][1].append(unit)
    for observations, fine_tunings in groups.values():
        yield WorldGroup(study, folder, tuple(observations), tuple(fine_tunings))


def by_task_and_k(study: Study, folder: RunFolder) -> Iterator[list[WorldGroup]]:
    """The groups of worlds that share task and k, and so demonstrations and queries: what may be compared. Those that
    failed are among them."""
    together: dict[tuple[str, int], list[WorldGroup]] = {}
    for untuned in _all_groups(study, folder):
        together.setdefault((untuned.world.task, untuned.world.k), []).append(untuned)
    while together:  # handed over: what a group loads is let go with it
        yield together.pop(next(iter(together)))


def _scores(records: list[CellRecord], setting: str, metric: str) -> list[Tensor] | None:
    name = f"{setting}/{metric}"
    is_complete = all(name in record.tensors for record in records)
    return [record.tensors[name] for record in records] if is_complete else None
