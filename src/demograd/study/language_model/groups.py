"""What a run folder holds of worlds, and of cells, that differ only in their demonstration set: seed by seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, zip_longest
from typing import Any

import torch
from torch import Tensor

from demograd.metrics import METRICS
from demograd.observe import Observation
from demograd.study.language_model.cell import after_step
from demograd.study.language_model.cell_scores import MATCHING
from demograd.study.language_model.grid import Cell, World, demonstrations_label
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.spec import Study
from demograd.study.language_model.units import (
    FineTuning,
    NetworkMeasurement,
    Orders,
    PromptObservations,
    units_of,
)
from demograd.study.store.failures import failures, load_or_failed
from demograd.study.store.folder import CellRecord, RunFolder
from demograd.words import Labels, Setting


@dataclass(frozen=True, eq=False)
class WorldGroup:
    """The worlds of one network, task, labels and k, in the order of their seeds: the rows of a matrix."""

    study: Study = field(repr=False)
    folder: RunFolder
    observations: tuple[PromptObservations, ...]
    """The units of these worlds."""
    orders: tuple[Orders, ...]
    """The units of ICL under other orders; none: the study looks at no other order."""
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
        failed = failures(self.folder, [unit.key for unit in (*self.observations, *self.orders)])
        statuses = {key: failure.status for key, failure in failed.items()}
        keys = zip_longest((unit.key for unit in self.observations), (unit.key for unit in self.orders), fillvalue="")
        return [statuses.get(observed) or statuses.get(reordered) or "ok" for observed, reordered in keys]

    @property
    def is_observed(self) -> bool:
        """Whether every world was."""
        return set(self.failed) == {"ok"}

    @cached_property
    def zsl(self) -> list[Observation]:
        """The observations of each seed, without extras; one and the same where no demonstrations matter."""
        keys = dict.fromkeys(unit.zsl_key for unit in self.observations)
        loaded = {key: self.folder.load_observation(key, extras=()) for key in keys}
        return [loaded[unit.zsl_key] for unit in self.observations]

    @cached_property
    def icl(self) -> list[Observation]:
        """The observations of each seed, without extras."""
        return [self.folder.load_observation(unit.icl_key, extras=()) for unit in self.observations]

    def why_undefined(self, metric: str) -> str:
        """Why a metric has no value with as few label words as the task has, as a clause; empty where it has."""
        about = METRICS.get(metric)
        if about is None or about.fewest_label_words == 1:  # what decides nothing need not be loaded
            return ""
        return about.why_undefined(self.zsl[0].label_log_probs.shape[-1])

    def with_extras(self) -> tuple[list[Observation], list[Observation]]:
        """ZSL and ICL of each seed with all that was recorded; loaded anew, for it can be much."""
        zsl, icl = zip(*((unit.zsl_key, unit.icl_key) for unit in self.observations), strict=True)
        return list(map(self.folder.load_observation, zsl)), list(map(self.folder.load_observation, icl))

    @property
    def has_orders(self) -> bool:
        """Whether ICL was observed under other orders."""
        return bool(self.orders)

    @cached_property
    def records(self) -> list[CellRecord]:
        """What was kept of ICL under other orders."""
        return [self.folder.load_cell(unit.key) for unit in self.orders]

    def scores(self, setting: str, metric: str) -> list[Tensor] | None:
        """A metric's values, seed by seed; None where any seed has none."""
        return _scores(self.records, setting, metric)

    def matrix(self, setting: str, metric: str) -> Tensor | None:
        """Scores of ICL on each set against ICL with each set reordered, [sets, sets, queries, layers]; None where
        there are none."""
        return _matrix(self.records, setting, metric)

    @cached_property
    def groups(self) -> list["CellGroup"]:
        """All groups of cells in these worlds."""
        return [CellGroup(self, unit) for unit in self.fine_tunings]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """The cells of one method at one learning rate in such worlds."""

    untuned: WorldGroup
    unit: FineTuning

    @property
    def cell(self) -> Cell:
        """The first."""
        return self.unit.cells[0]

    @property
    def cells(self) -> Sequence[Cell]:
        """In the order of their seeds."""
        return self.unit.cells

    @cached_property
    def records(self) -> list[CellRecord]:
        """What was kept of each cell; of one that failed, that."""
        settings = ["FT", *(control.setting for control in self.untuned.study.controls)]
        folder, unit = self.untuned.folder, self.unit
        return [load_or_failed(folder, key, settings, failure=unit.key) for key in unit.cell_keys]

    def status(self, setting: str, step: int | None = None) -> list[str]:
        """`ok`, or why the setting has no numbers (after a step), set by set. FT on the other sets has those that FT
        on all sets has."""
        if setting == Setting.FT_OTHER_SETS:
            statuses = self.status(Setting.FT, step)
            return [next((status for status in statuses if status != "ok"), "ok")] * len(statuses)
        facts = [record.facts["settings"][setting] for record in self.records]
        if step is None:
            return [setting_facts["status"] for setting_facts in facts]
        return [setting_facts.get("after_steps", {}).get(str(step), setting_facts["status"]) for setting_facts in facts]

    @cached_property
    def steps(self) -> list[int]:
        """Steps after which FT was observed on every set, before its end."""
        reached = [{*record.facts["settings"]["FT"].get("after_steps", {})} for record in self.records]
        return sorted(map(int, set.intersection(*reached))) if reached else []

    def order_status(self) -> list[str]:
        """`ok`, or why FT on other orders of the demonstrations has no numbers, seed by seed."""
        return [record.facts["settings"]["FT"].get("order_sensitivity", "ok") for record in self.records]

    def scores(self, setting: str, metric: str, step: int | None = None) -> list[Tensor] | None:
        """A metric's values, set by set; None where any set has none. Of FT on the other sets: the mean over these."""
        if setting == Setting.FT_OTHER_SETS:
            matrix = self.matrix(Setting.FT, metric, step)
            return None if matrix is None else mismatched(matrix)
        return _scores(self.records, after_step(setting, step), metric)

    def matrix(self, setting: str, metric: str, step: int | None = None) -> Tensor | None:
        """Scores of ICL on each set against FT on each, [ICL's sets, FT's sets, queries, layers]; None where any set
        has none."""
        return _matrix(self.records, after_step(setting, step), metric)

    def predicted(self, setting: str, step: int | None = None) -> list[Observation]:
        """What the model predicted in a setting of FT: ZSL's observation with that setting's label scores."""
        return [
            replace(zsl, label_log_probs=record.tensors[f"{after_step(setting, step)}/label_log_probs"])
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
    units = (unit for unit in units_of(study, read_inputs(folder)) if not isinstance(unit, NetworkMeasurement))
    for _, group in groupby(units, key=lambda unit: unit.batch):
        kinds: dict[type, list[Any]] = {PromptObservations: [], Orders: [], FineTuning: []}
        for unit in group:
            kinds[type(unit)].append(unit)
        yield WorldGroup(study, folder, *map(tuple, kinds.values()))


def by_task_and_k(study: Study, folder: RunFolder) -> Iterator[list[WorldGroup]]:
    """The groups of worlds that share task, labels and k, and so demonstrations and queries: what may be compared.
    Those that failed are among them."""
    together: dict[tuple[str, Labels, int], list[WorldGroup]] = {}
    for untuned in _all_groups(study, folder):
        world = untuned.world
        together.setdefault((world.task, world.labels, world.k), []).append(untuned)
    while together:  # handed over: what a group loads is let go with it
        yield together.pop(next(iter(together)))


def mismatched(matrix: Tensor) -> list[Tensor]:
    """The mean score of ICL on each set against FT on the others: [queries, layers] of each set of ICL."""
    n_sets = len(matrix)
    if n_sets < 2:
        return [torch.full_like(matrix[0, 0], torch.nan)] * n_sets
    others = [matrix[place, torch.arange(n_sets) != place] for place in range(n_sets)]
    return [torch.where(scores.isinf().any(dim=0), torch.inf, scores.nanmean(dim=0)) for scores in others]


def _matrix(records: list[CellRecord], setting: str, metric: str) -> Tensor | None:
    """[ICL's sets, FT's sets, queries, layers]; each record has the column of its own FT."""
    name = f"{setting}/{MATCHING}{metric}"
    is_complete = all(name in record.tensors for record in records) and records
    return torch.stack([record.tensors[name] for record in records], dim=1) if is_complete else None


def _scores(records: list[CellRecord], setting: str, metric: str) -> list[Tensor] | None:
    name = f"{setting}/{metric}"
    is_complete = all(name in record.tensors for record in records)
    return [record.tensors[name] for record in records] if is_complete else None
