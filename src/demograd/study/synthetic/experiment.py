"""A synthetic study as an experiment: small transformers in made worlds beside tuned references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from demograd.errors import UserError
from demograd.models.placement import check_device
from demograd.study.experiment import Experiment
from demograd.study.store.folder import RunFolder
from demograd.study.synthetic.claims import CLAIMED, check_claims
from demograd.study.synthetic.constructed import construction_rows
from demograd.study.synthetic.matrices import matrices
from demograd.study.synthetic.named import of_reference
from demograd.study.synthetic.notes import notes
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.regression import regression_rows
from demograd.study.synthetic.sparsity import sparsity_rows
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.system_rows import system_rows
from demograd.study.synthetic.training_rows import training_rows
from demograd.study.synthetic.units import (
    SyntheticCell,
    Trained,
    Training,
    Tuning,
    load_trained,
    load_tuned,
    units_of,
)
from demograd.study.unit import Unit
from demograd.synthetic import seeded
from demograd.words import Row


@dataclass(frozen=True)
class SyntheticExperiment(Experiment):
    """Worlds × networks × seeds, and references."""

    study: SyntheticStudy
    _claimed: list[Row] = field(default_factory=list, repr=False, compare=False)
    """The rows that claims are about, as they were last tabulated: what they rest on is in no table."""

    @property
    def size(self) -> str:
        """`1 worlds, 2 networks, 5 seeds`."""
        study = self.study
        return f"{len(study.worlds)} worlds, {len(study.networks)} networks, {len(study.seeds)} seeds"

    def prepared(self, say: Callable[[str], None]) -> SyntheticExperiment:
        """With the study's device named.

        Raises:
            UserError: see `on_one_device`.
        """
        return SyntheticExperiment(on_one_device(self.study))

    def free(self) -> None:
        """Nothing is loaded."""

    def begin(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Units are named by the study alone."""

    def units(self, folder: RunFolder) -> list[Unit]:
        """Trained networks, and tuned references."""
        return [*units_of(self.study)]

    def work(self, unit: Unit) -> int:
        """Steps of training; how many a reference takes is not known."""
        return unit.steps if isinstance(unit, Training) else 0

    def equipped(self, batch: Sequence[Unit]) -> Sequence[Unit]:
        """A unit needs nothing but itself."""
        return batch

    def rows(self, folder: RunFolder) -> Iterator[Row]:
        """The rows of the results table."""
        self._claimed.clear()
        for row in rows_of(self.study, self._references(folder), self._networks(folder)):
            if row.metric in CLAIMED:
                self._claimed.append(row)
            yield row

    def judge(self, folder: RunFolder) -> None:
        """Write `claims.json`, and `matrices.json`: trained weights beside those of theory."""
        worlds = self.study.worlds.items()
        dimensions = {name: world.dimension for name, world in worlds if world.kind == "system"}
        folder.write_json("claims.json", check_claims(self._claimed, self.study.context, dimensions))
        folder.write_json("matrices.json", matrices(self.study, self._references(folder), self._networks(folder)))

    def device(self) -> str:
        """The study's."""
        return self.study.device

    def facts(self, folder: RunFolder) -> dict[str, Any]:
        """Notes."""
        return {"notes": notes(self.study, self._references(folder))}

    def _references(self, folder: RunFolder) -> dict[str, list[Tuned]]:
        """World → its references."""
        tunings = [unit for unit in units_of(self.study) if isinstance(unit, Tuning)]
        return {
            world: [load_tuned(unit, folder) for unit in tunings if unit.world == world] for world in self.study.worlds
        }

    def _networks(self, folder: RunFolder) -> dict[SyntheticCell, Trained]:
        return {unit.cell: load_trained(unit, folder) for unit in units_of(self.study) if isinstance(unit, Training)}


def rows_of(
    study: SyntheticStudy, references: dict[str, list[Tuned]], networks: dict[SyntheticCell, Trained]
) -> Iterator[Row]:
    """All rows of a synthetic study, from its tuned references and trained networks."""
    yield from construction_rows(study)
    for world in study.worlds:
        by_seed = {
            name: {
                cell.seed: network for cell, network in networks.items() if (cell.world, cell.network) == (world, name)
            }
            for name in study.networks
        }
        for row in _world_rows(study, world, references[world], by_seed):
            yield replace(row, task=world, k=study.context if row.k is None else row.k, dtype="float32")


def on_one_device(study: SyntheticStudy) -> SyntheticStudy:
    """The study with its device named: `auto` is the first CUDA device, or the CPU where there is none.

    Raises:
        UserError: this machine has no such device, or it is several.
    """
    device = check_device(study.device)
    if device == "balanced":
        raise UserError(
            "Device 'balanced' is all CUDA devices, and small transformers fit one",
            "auto, cpu, or one device that torch sees",
            "Try --device auto",
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return study.model_copy(update={"device": device})


def _world_rows(
    study: SyntheticStudy, name: str, references: list[Tuned], networks: dict[str, dict[int, Trained]]
) -> Iterator[Row]:
    yield from training_rows(networks)
    for reference in references:
        if not reference.learner:
            yield replace(of_reference(reference), metric="loss", status=reference.status)
    references = [reference for reference in references if reference.learner]
    if study.sparsity:
        yield from sparsity_rows(study, name, references, networks)
    generator = seeded("test", study.test_seed, study.device)
    rows = system_rows if study.worlds[name].kind == "system" else regression_rows
    yield from rows(study, name, references, networks, generator)
