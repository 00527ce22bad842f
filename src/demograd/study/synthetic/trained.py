"""Trained networks of a study, each kept as a cell: trained once, and read back ever after."""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from demograd.study.store.failures import failures
from demograd.study.store.folder import CellRecord, RunFolder
from demograd.study.store.keys import settings_key
from demograd.study.synthetic.schema import SyntheticStudy
from demograd.study.synthetic.snapshots import Snapshots, by_step
from demograd.study.watch import JobWatch
from demograd.synthetic import SmallTransformer, TrainingDiverged, best_start, train, width_of

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


def keys(study: SyntheticStudy) -> list[str]:
    """Of everything that may fail."""
    return [cell_key(study, cell) for cell in cells(study)]


def train_cell(study: SyntheticStudy, cell: SyntheticCell, folder: RunFolder, watch: JobWatch) -> Trained:
    """Train a cell's network, or go on from its checkpoint; keep it, and drop the checkpoint.

    The snapshots of the steps before a checkpoint are as much a part of it as the weights.
    """
    key = cell_key(study, cell)
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
        losses, status = network.key.new_empty(0), str(diverged)
    tensors = {name: parameter.detach().cpu() for name, parameter in network.named_parameters()}
    kept = {f"{SNAPSHOT}{name}": tensor for name, tensor in snapshots.tensors.items()}
    folder.save_cell(key, CellRecord({**tensors, **kept, "losses": losses}, {**asdict(cell), "status": status}))
    for file in (checkpoint, on_the_way):
        file.unlink(missing_ok=True)
    return load_trained(study, cell, folder)


def load_trained(study: SyntheticStudy, cell: SyntheticCell, folder: RunFolder) -> Trained:
    """A finished cell's network, or why there is none."""
    key = cell_key(study, cell)
    if failed := failures(folder, [key]):
        return Trained(None, torch.empty(0), failed[key].status)
    record = folder.load_cell(key)
    tensors = dict(record.tensors)
    losses, status = tensors.pop("losses"), record.facts["status"]
    if status != "ok":
        return Trained(None, losses, status)
    taken = {name.removeprefix(SNAPSHOT): tensors.pop(name) for name in list(tensors) if name.startswith(SNAPSHOT)}
    snapshots = {step: _with_weights(study, cell, weights) for step, weights in by_step(taken).items()}
    return Trained(_with_weights(study, cell, tensors), losses, status, snapshots)


def _with_weights(study: SyntheticStudy, cell: SyntheticCell, weights: dict[str, Tensor]) -> SmallTransformer:
    network = _untrained(study, cell)
    network.load_state_dict(weights)
    return network.requires_grad_(False)


def _untrained(study: SyntheticStudy, cell: SyntheticCell) -> SmallTransformer:
    architecture = study.networks[cell.network].architecture()
    return SmallTransformer(architecture, _width(study, cell), cell.seed).to(study.device)


def _width(study: SyntheticStudy, cell: SyntheticCell) -> int:
    return width_of(study.world(cell.world).dimension, system=study.worlds[cell.world].kind == "system")
