"""The points of a study's grid: the product of its lists, and what its rules leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from demograd.study.language_model.rules import WORLD_AXES, Axes, Point, is_kept
from demograd.words import Weights

if TYPE_CHECKING:
    from demograd.study.language_model.spec import Study


def axes_of(study: Study) -> Axes:
    """Field of a cell → every value that the study gives it."""
    rates = dict.fromkeys(rate for method in study.learning_rates for rate in study.all_rates_of(method))
    seeds = dict.fromkeys(seed for task in study.tasks for seed in study.seeds_of(task))
    return {
        "model": study.models,
        "weights": list(study.weights),
        "initialisation": study.initialisations,
        "task": study.tasks,
        "labels": list(study.labels),
        "k": study.k,
        "seed": [*seeds],
        "method": [*study.methods],
        "learning_rate": [*rates],
    }


def points_of(study: Study) -> Iterator[Point]:
    """Every point of the product, before any rule: cells, or worlds, where there is no method."""
    for world in _all_worlds(study):
        yield from _cells_in(study, world) if study.methods else (world,)


def world_points(study: Study) -> Iterator[Point]:
    """The worlds that the rules leave, those that share a network one after the other."""
    axes = axes_of(study)
    for world in _all_worlds(study):
        if study.methods:
            is_left = any(is_kept(axes, study.exclude, study.pair, cell) for cell in _cells_in(study, world))
        else:
            is_left = is_kept(axes, study.exclude, study.pair, world)
        if is_left:
            yield world


def cell_points(study: Study) -> Iterator[Point]:
    """The cells that the rules leave, those that share a world one after the other."""
    axes = axes_of(study)
    for world in _all_worlds(study):
        yield from (cell for cell in _cells_in(study, world) if is_kept(axes, study.exclude, study.pair, cell))


def _all_worlds(study: Study) -> Iterator[Point]:
    axes = axes_of(study)
    for values in product(*(axes[name] for name in WORLD_AXES)):
        world = dict(zip(WORLD_AXES, values, strict=True))
        # trained weights have one initialisation, which no seed draws
        is_initialised = world["weights"] != Weights.TRAINED or world["initialisation"] == study.initialisations[0]
        if is_initialised and world["seed"] in study.seeds_of(world["task"]):
            yield world


def _cells_in(study: Study, world: Point) -> Iterator[Point]:
    """A method for which no rate is named yet has one cell, without a rate."""
    for method in study.methods:
        rates = study.rates_of(world["model"], world["task"], world["labels"], method)
        for rate in rates if rates is not None else ():
            yield {**world, "method": method, "learning_rate": rate}
        if rates is None:
            yield {**world, "method": method}
