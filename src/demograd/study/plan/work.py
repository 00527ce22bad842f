"""The work of a run, world by world: observations and fine-tunings; a shared observation counts once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from demograd.learn import FineTuning
from demograd.learn.lockstep_fit import jobs_that_fit, why_not_by_method
from demograd.learn.together import TOKENS_AT_A_TIME
from demograd.study.language_model.demonstration_sets import stops_on_the_way
from demograd.study.language_model.grid import Cell, World
from demograd.study.language_model.networks import Network, network_of
from demograd.study.language_model.sizes import PromptSizes, Sizes, Trained
from demograd.study.language_model.spec import Study
from demograd.study.language_model.turns import sets_at_once
from demograd.study.plan.blueprint import Blueprint
from demograd.words import Labels


@dataclass(frozen=True)
class Observing:
    """One observation without fine-tuning."""

    setting: Literal["ZSL", "ICL"]
    sizes: PromptSizes


@dataclass(frozen=True)
class Tuning:
    """A method's fine-tunings in one world, each with an observation after it."""

    method: str
    learning_rate: float
    """The first; no operation depends on it."""
    rates: int
    """How many there are."""
    trained: tuple[Trained, ...]
    """Training data at each rate: demonstrations, controls', and other orders of the demonstrations."""
    controls: int
    """How many of these are controls'."""
    stops: int
    """After how many steps FT is observed besides its end."""
    after: PromptSizes

    @property
    def observations(self) -> int:
        """How often tuned networks are observed."""
        return self.rates * (len(self.trained) + self.stops)

    @property
    def scored(self) -> int:
        """How many of these observations are scored against ICL: other orders are compared with each other."""
        return self.rates * (1 + self.controls + self.stops)


@dataclass(frozen=True)
class WorldWork:
    """The work in one world."""

    world: World
    sets: int
    """How many demonstration sets its group has, on which methods are trained together, and which are matched."""
    observations: list[Observing]
    tunings: list[Tuning]

    @property
    def cells(self) -> int:
        return sum(tuning.rates for tuning in self.tunings)

    @property
    def network(self) -> Network:
        return network_of(self.world)


def work_of(study: Study, todo: Mapping[World, Iterable[Cell]], sizes: Callable[[World], Sizes]) -> list[WorldWork]:
    """In the order in which it is done, worlds that share a network one after the other.

    Args:
        study: with all its learning rates.
        todo: worlds, with those of their cells that are to be run.
        sizes: of a world's demonstration set.
    """
    zsl_done: set[tuple[object, ...]] = set()
    sets = Counter(world.group for world in todo)
    work = []
    for world, cells in todo.items():
        lengths = sizes(world)

        def stops(name: str, demonstrations: int = len(lengths.training[0])) -> int:
            return stops_on_the_way(study, study.method(name, 1.0), demonstrations)

        observations = [Observing("ICL", prompts) for prompts in lengths.icl]
        of_zsl: tuple[object, ...] = (*network_of(world), world.task, world.labels == Labels.ABSTRACT)  # other words
        if study.align_positions:
            of_zsl += (world.labels, world.k)
        if of_zsl not in zsl_done:
            observations.insert(0, Observing("ZSL", lengths.zsl))
            zsl_done.add(of_zsl)
        trained = lengths.training + (lengths.reordered if "order_sensitivity" in study.measures else ())
        rates: dict[str, list[float]] = {}
        for cell in cells:
            rates.setdefault(cell.method, []).append(cell.learning_rate)
        tunings = [
            Tuning(
                name,
                learning_rates[0],
                len(learning_rates),
                trained,
                controls=len(lengths.training) - 1,
                stops=stops(name),
                after=lengths.zsl,
            )
            for name, learning_rates in rates.items()
        ]
        work.append(WorldWork(world, sets[world.group], observations, tunings))
    return work


def trained_at_a_time(study: Study, blueprint: Blueprint, tuning: Tuning, sets: int) -> int:
    """How many fine-tunings of these demonstration sets a run trains at a time, as far as their method allows."""
    method = study.method(tuning.method, tuning.learning_rate)
    if not isinstance(method, FineTuning) or why_not_by_method(method) is not None:
        return 1
    tokens = mean(sequence.tokens for trained in tuning.trained for sequence in trained)
    trainings = len(tuning.trained)
    jobs = sets_at_once(study, blueprint.anatomy, method, trainings, sets) * trainings
    return max(1, min(jobs, int(TOKENS_AT_A_TIME / tokens), jobs_that_fit(blueprint.anatomy, method)))
