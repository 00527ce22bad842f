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
from demograd.study.synthetic.matrices import matrices
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.table import by_context_rows, rows_of
from demograd.study.synthetic.units import (
    NetworkTraining,
    ReferenceTuning,
    SyntheticCell,
    Trained,
    load_trained,
    load_tuned,
    units_of,
)
from demograd.study.unit import Unit
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
        return [unit for study in self.study.at_each_context() for unit in units_of(study)]

    def work(self, unit: Unit) -> int:
        """Steps of training; how many a reference takes is not known."""
        return unit.steps if isinstance(unit, NetworkTraining) else 0

    def equipped(self, batch: Sequence[Unit]) -> Sequence[Unit]:
        """A unit needs nothing but itself."""
        return batch

    def rows(self, folder: RunFolder) -> Iterator[Row]:
        """The rows of the results table."""
        self._claimed.clear()
        for row in rows_of(self.study, self._references(folder, self.study), self._networks(folder, self.study)):
            if row.metric in CLAIMED:
                self._claimed.append(row)
            yield row
        studies = self.study.at_each_context()
        for study in studies if len(studies) > 1 else ():
            for row in by_context_rows(study, self._references(folder, study), self._networks(folder, study)):
                yield replace(row, k=self.study.context)

    def judge(self, folder: RunFolder) -> None:
        """Write `claims.json`, and `matrices.json`: trained weights beside those of theory."""
        worlds = self.study.worlds.items()
        dimensions = {name: world.dimension for name, world in worlds if world.kind == "system"}
        references, networks = self._references(folder, self.study), self._networks(folder, self.study)
        overfit = {
            (world, reference.label): reference.overfit
            for world, of_world in references.items()
            for reference in of_world
            if reference.overfit
        }
        folder.write_json("claims.json", check_claims(self._claimed, self.study.context, dimensions, overfit))
        folder.write_json("matrices.json", matrices(self.study, references, networks))

    def device(self) -> str:
        """The study's."""
        return self.study.device

    def facts(self, folder: RunFolder) -> dict[str, Any]:
        """Notes."""
        return {"notes": notes(self.study, self._references(folder, self.study))}

    @staticmethod
    def _references(folder: RunFolder, study: SyntheticStudy) -> dict[str, list[Tuned]]:
        """World → its references."""
        tunings = [unit for unit in units_of(study) if isinstance(unit, ReferenceTuning)]
        return {world: [load_tuned(unit, folder) for unit in tunings if unit.world == world] for world in study.worlds}

    @staticmethod
    def _networks(folder: RunFolder, study: SyntheticStudy) -> dict[SyntheticCell, Trained]:
        return {unit.cell: load_trained(unit, folder) for unit in units_of(study) if isinstance(unit, NetworkTraining)}


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


def notes(study: SyntheticStudy, references: dict[str, list[Tuned]]) -> list[str]:
    """The study's own, and those that its settings and its references ask for."""
    sentences = list(study.notes)
    sentences.append(
        f"Intervals are over training seeds and the {study.test_sequences:,} test sequences; a reference has "
        "no seed, so its interval is over test sequences alone."
    )
    if any(world.kind == "kernel" and world.kernel == "relu" for world in study.worlds.values()):
        sentences.append(
            "The ReLU kernel max(⟨u, v⟩, 0) is not positive semidefinite: y is drawn with the nearest matrix "
            "that is, the negative eigenvalues set to zero."
        )
    for world, of_world in references.items():
        sentences += [
            f"{reference.label} is left out in {world}: {reference.status}."
            for reference in of_world
            if reference.status != "ok"
        ]
        sentences += [
            f"{reference.label} in {world} is tuned on {study.tuning_sequences:,} sequences, and {reference.overfit}: "
            "nothing is decided by it."
            for reference in of_world
            if reference.overfit
        ]
    return sentences
