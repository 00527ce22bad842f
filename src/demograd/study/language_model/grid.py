"""The grid of a study: cells, each a pure function of its settings."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from demograd.observe import Extra
from demograd.study.language_model.measures import extras_of, measured_metrics
from demograd.study.language_model.points import cell_points, world_points
from demograd.study.language_model.rules import WORLD_AXES, Point
from demograd.study.language_model.spec import Study
from demograd.words import Labels, Weights, task_label


@dataclass(frozen=True)
class World:
    """A network and a demonstration set: what ZSL, ICL and FT share."""

    model: str
    weights: Weights
    initialisation: int
    """The seed of untrained weights; 0 for trained ones, which none draws."""
    task: str
    labels: Labels
    k: int
    seed: int
    """The demonstration set."""
    permutation: int

    def __str__(self) -> str:
        return f"{self.without_set} · seed {self.seed}"

    @property
    def without_set(self) -> str:
        """Network and task, in words."""
        number = f" {self.initialisation}" if self.weights != Weights.TRAINED else ""
        return f"{self.weights}{number} · {task_label(self.task, self.labels)} · k {self.k}"

    @property
    def group(self) -> Hashable:
        """Equal for worlds that differ in their demonstration set alone: the rows of one matrix."""
        return self.model, self.weights, self.initialisation, self.task, self.labels, self.k


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
    for point in cell_points(study):
        world = {name: point[name] for name in WORLD_AXES}
        yield Cell(_world(study, world), point["method"], point["learning_rate"])


def cells_by_world(study: Study) -> dict[World, list[Cell]]:
    """All worlds whose prompts are looked at, each with its cells; there may be none."""
    by_world: dict[World, list[Cell]] = {world: [] for world in worlds(study)}
    for cell in cells(study):
        by_world[cell.world].append(cell)
    return by_world


def _points(study: Study) -> Iterator[World]:
    for point in world_points(study):
        yield _world(study, point)


def _world(study: Study, point: Point) -> World:
    initialisation = 0 if point["weights"] == Weights.TRAINED else point["initialisation"]
    permutation = study.permutation_of(point["task"], point["seed"])
    return World(**point | {"initialisation": initialisation}, permutation=permutation)


def demonstrations_label(world: World) -> str:
    """Names a demonstration set, as a model's tokenizer reads it: another label for every one.

    Commas in the names of models and tasks, which may be paths, are escaped, so that only five parts are between bare
    ones.
    """
    model, task = (name.replace("\\", "\\\\").replace(",", "\\,") for name in (world.model, world.task))
    return f"{model}, {task}, {world.labels} labels, k {world.k}, seed {world.seed}"


def extras(study: Study, setting: str) -> frozenset[Extra]:
    """The extras (`words.Extra`) that the study's observations of ZSL, ICL or FT must hold."""
    return extras_of(measured_metrics(study), setting)
