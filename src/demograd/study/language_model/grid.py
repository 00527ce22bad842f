"""The grid of a study: cells, each a pure function of its settings."""

from collections.abc import Iterator
from dataclasses import dataclass

from demograd.models import Weights
from demograd.observe import Extra
from demograd.study.language_model.measures import extras_of, measured_metrics
from demograd.study.language_model.rules import WORLD_AXES
from demograd.study.language_model.spec import Study


@dataclass(frozen=True)
class World:
    """A network and a demonstration set: what ZSL, ICL and FT share."""

    model: str
    weights: Weights
    task: str
    k: int
    seed: int
    permutation: int

    def __str__(self) -> str:
        return f"{self.weights} · {self.task} · k {self.k} · seed {self.seed}"

    @property
    def initialisation(self) -> int:
        """The seed of untrained weights: another draw of them for each demonstration set."""
        return 0 if self.weights == "trained" else self.seed


@dataclass(frozen=True)
class Cell:
    """One method at one learning rate in one world."""

    world: World
    method: str
    learning_rate: float

    def __str__(self) -> str:
        return f"{self.world} · {self.method} {self.learning_rate:g}"


def worlds(study: Study) -> Iterator[World]:
    """All worlds that the study's rules leave, those that share a network one after the other; none where only networks
    are measured, and no prompt is looked at."""
    return _points(study) if study.methods or study.measures != ["sparsity"] else iter(())


def networks(study: Study) -> dict[tuple[str, Weights, int], list[World]]:
    """Every network (model, weights, seed of the weights) of the study, with its worlds."""
    by_network: dict[tuple[str, Weights, int], list[World]] = {}
    for world in _points(study):
        by_network.setdefault((world.model, world.weights, world.initialisation), [])
    for world in worlds(study):
        by_network[world.model, world.weights, world.initialisation].append(world)
    return by_network


def cells(study: Study) -> Iterator[Cell]:
    """All cells that the study's rules leave, those that share a world one after the other; `study`: with all its
    learning rates."""
    for point in study.cell_points():
        world = {name: point[name] for name in WORLD_AXES}
        permutation = study.permutation_of(point["task"], point["seed"])
        yield Cell(World(**world, permutation=permutation), point["method"], point["learning_rate"])


def cells_by_world(study: Study) -> dict[World, list[Cell]]:
    """All worlds whose prompts are looked at, each with its cells; there may be none."""
    by_world: dict[World, list[Cell]] = {world: [] for world in worlds(study)}
    for cell in cells(study):
        by_world[cell.world].append(cell)
    return by_world


def _points(study: Study) -> Iterator[World]:
    for point in study.world_points():
        yield World(**point, permutation=study.permutation_of(point["task"], point["seed"]))


def demonstrations_label(world: World) -> str:
    """Names a demonstration set, as a model's tokenizer reads it: another label for every one.

    Commas in the names of models and tasks, which may be paths, are escaped, so that only four parts are between bare
    ones.
    """
    model, task = (name.replace("\\", "\\\\").replace(",", "\\,") for name in (world.model, world.task))
    return f"{model}, {task}, k {world.k}, seed {world.seed}"


def extras(study: Study, setting: str) -> frozenset[Extra]:
    """The extras (`words.Extra`) that the study's observations of ZSL, ICL or FT must hold."""
    return extras_of(measured_metrics(study), setting)
