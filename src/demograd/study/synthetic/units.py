"""The units of a synthetic study: trained networks and tuned references, each kept once it is there."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from demograd.study.store.failures import load_or_failed
from demograd.study.store.folder import CellRecord, RunFolder
from demograd.study.store.keys import settings_key
from demograd.study.synthetic.references import ReferenceSpec, Tuned, references_of, tuned, tuning_record
from demograd.study.synthetic.snapshots import Snapshots, by_step
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.unit import Unit
from demograd.study.workers.progress import JobWatch
from demograd.synthetic import HeldOut, SmallTransformer, TrainingDiverged, best_start, train, width_of

TUNING = "to convergence, starts chosen on other problems"
"""How references are tuned: a folder's that were tuned otherwise are tuned anew."""
SNAPSHOT = "snapshots/"
"""How the names of tensors begin that are not those of the trained network."""


@dataclass(frozen=True)
class SyntheticCell:
    """One network trained in one world from one seed."""

    world: str
    network: str
    seed: int

    def __str__(self) -> str:
        return f"{self.world} · {self.network} · seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after training, or what is left of one that diverged, or whose training failed."""

    network: SmallTransformer | None
    losses: Tensor
    """`[steps]`; empty where there is no network."""
    status: str
    snapshots: dict[int, SmallTransformer] = field(default_factory=dict)
    """Steps of training done → the network as it was then; empty where there is no network."""


@dataclass(frozen=True, eq=False)
class NetworkTraining(Unit):
    """A network in a world, trained from a seed. Killed, it goes on from its checkpoint."""

    kind: ClassVar[str] = "network"
    key: str
    study: SyntheticStudy = field(repr=False)
    """With its device named."""
    cell: SyntheticCell

    def __str__(self) -> str:
        return str(self.cell)

    @property
    def steps(self) -> int:
        """Steps of training."""
        return self.study.training_of(self.cell.network).steps

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """A network that diverges is done, and said."""
        watch.begin(str(self), "training", self.steps)
        status = train_cell(self.study, self.cell, self.key, folder, watch)
        if status != "ok":
            watch.say(f"{self}: {status}")


@dataclass(frozen=True, eq=False)
class ReferenceTuning(Unit):
    """A reference in a world, tuned on problems that no network is trained or tested on."""

    kind: ClassVar[str] = "reference"
    key: str
    study: SyntheticStudy = field(repr=False)
    world: str
    spec: ReferenceSpec

    def __str__(self) -> str:
        return f"{self.world} · {self.spec.label}"

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        """What is kept of a reference that is not as good as it can be is why: it would flatter networks."""
        watch.begin(str(self), "tuning", 0)
        record = tuning_record(self.study, self.study.world(self.world), self.spec)
        folder.save_cell(self.key, record)
        if record.facts["status"] != "ok":
            watch.say(f"{self.world}: {self.spec.label}: {record.facts['status']}")


def units_of(study: SyntheticStudy) -> Iterator[NetworkTraining | ReferenceTuning]:
    """All networks, then all references."""
    yield from (NetworkTraining(cell_key(study, cell), study, cell) for cell in cells(study))
    for world in study.worlds:
        for spec in references_of(study):
            yield ReferenceTuning(_reference_key(study, world, spec), study, world, spec)


def load_tuned(unit: ReferenceTuning, folder: RunFolder) -> Tuned:
    """The reference of a unit that is done, or why there is none."""
    world, record = unit.study.world(unit.world), load_or_failed(folder, unit.key)
    if "failed" in record.facts:
        return tuned(world, unit.spec, {}, record.facts["failed"])
    held_out = record.facts["held_out"]
    return tuned(world, unit.spec, record.tensors, record.facts["status"], held_out and HeldOut(**held_out))


def cells(study: SyntheticStudy) -> list[SyntheticCell]:
    """All of them."""
    return [
        SyntheticCell(world, network, seed)
        for world in study.worlds
        for network in study.networks
        for seed in study.seeds
    ]


def cell_key(study: SyntheticStudy, cell: SyntheticCell) -> str:
    """Names the file of a finished cell: it depends on these settings and no others."""
    return settings_key(
        f"{cell.world}-{cell.network}-seed{cell.seed}",
        {
            "world": study.worlds[cell.world].model_dump(),
            "network": asdict(study.networks[cell.network].architecture()),
            "training": {**asdict(study.training_of(cell.network)), "checkpoint_every": None},
            "context": study.context,
            "seed": cell.seed,
            "device": study.device,
        },
    )


def _reference_key(study: SyntheticStudy, world: str, spec: ReferenceSpec) -> str:
    return settings_key(
        f"{world}-{spec.label}",
        {
            "world": study.worlds[world].model_dump(),
            "reference": spec.label,
            "context": study.context,
            "sequences": study.tuning_sequences,
            "device": study.device,
            "tuning": TUNING,
        },
    )


def train_cell(study: SyntheticStudy, cell: SyntheticCell, key: str, folder: RunFolder, watch: JobWatch) -> str:
    """Train a cell's network, or go on from its checkpoint; keep it, and drop the checkpoint. Its status: `ok`, or
    how it diverged.

    The snapshots of the steps before a checkpoint are as much a part of it as the weights.
    """
    network = _untrained(study, cell)
    checkpoint = folder.path / "checkpoints" / f"{key}.safetensors"
    checkpoint.parent.mkdir(exist_ok=True)
    on_the_way = checkpoint.with_name(f"{key}-snapshots.safetensors")
    if not (checkpoint.is_file() and on_the_way.is_file()):  # one was damaged, and is set aside: all over again
        for file in (checkpoint, on_the_way):
            file.unlink(missing_ok=True)
    if not checkpoint.is_file():
        network = best_start(
            network.architecture,
            _width(study, cell),
            study.world(cell.world),
            study.context,
            study.training_of(cell.network),
            cell.seed,
            study.device,
        )
    snapshots = Snapshots(network, study.training_of(cell.network).steps, on_the_way)

    def on_step(done: int) -> None:
        snapshots.take(done)
        watch.done(done)

    status = "ok"
    try:
        losses = train(
            network,
            study.world(cell.world),
            study.context,
            study.training_of(cell.network),
            cell.seed,
            checkpoint,
            on_step,
        )
    except TrainingDiverged as diverged:
        losses, status = torch.empty(0), str(diverged)
    tensors = {name: parameter.detach().cpu() for name, parameter in network.named_parameters()}
    stored = {f"{SNAPSHOT}{name}": tensor for name, tensor in snapshots.tensors.items()}
    folder.save_cell(key, CellRecord({**tensors, **stored, "losses": losses}, {**asdict(cell), "status": status}))
    for file in (checkpoint, on_the_way):
        file.unlink(missing_ok=True)
    return status


def load_trained(unit: NetworkTraining, folder: RunFolder) -> Trained:
    """A finished cell's network, or why there is none."""
    study, cell, record = unit.study, unit.cell, load_or_failed(folder, unit.key)
    if "failed" in record.facts:
        return Trained(None, torch.empty(0), record.facts["failed"])
    tensors = dict(record.tensors)
    losses, status = tensors.pop("losses"), record.facts["status"]
    if status != "ok":
        return Trained(None, losses, status)
    on_the_way = {name.removeprefix(SNAPSHOT): tensors.pop(name) for name in list(tensors) if name.startswith(SNAPSHOT)}
    snapshots = {step: _with_weights(study, cell, weights) for step, weights in by_step(on_the_way).items()}
    return Trained(_with_weights(study, cell, tensors), losses, status, snapshots)


def _with_weights(study: SyntheticStudy, cell: SyntheticCell, weights: dict[str, Tensor]) -> SmallTransformer:
    network = _untrained(study, cell)
    network.load_state_dict(weights)
    return network.requires_grad_(False)


def _untrained(study: SyntheticStudy, cell: SyntheticCell) -> SmallTransformer:
    architecture = study.networks[cell.network].architecture()
    return SmallTransformer(architecture, _width(study, cell), cell.seed).to(study.device)


def _width(study: SyntheticStudy, cell: SyntheticCell) -> int:
    network, is_system = study.networks[cell.network], study.worlds[cell.world].kind == "system"
    return width_of(
        study.world(cell.world).dimension,
        system=is_system,
        positions=network.positions,
        features=network.features,
        extra=network.extra,
    )
