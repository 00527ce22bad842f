"""How long a run will take here, said before it begins: a plan's sums at the pace of the network that is loaded."""

from collections.abc import Collection, Mapping

from demograd.models import Model
from demograd.study.cells import Cell, World
from demograd.study.demonstration_sets import DemonstrationSets
from demograd.study.plan.blueprint import Blueprint
from demograd.study.plan.pace import in_words, pace_of, sample_of
from demograd.study.plan.work import work_of
from demograd.study.schema import Study


def estimate(study: Study, model: Model, todo: Mapping[World, Collection[Cell]], sets: DemonstrationSets) -> str:
    """A sentence: how many cells, and about how long.

    Every network is taken for as fast as this one; loading networks and writing the report are not counted.

    Args:
        study: with all its learning rates.
        model: one of its networks.
        todo: worlds that are not whole, with those of their cells that are to be run.
        sets: the study's, checked.
    """
    blueprint = Blueprint(model.name, model.network.config)
    work = work_of(study, todo, sets.sizes)
    pace = pace_of(study, model, blueprint, sample_of(study, sets.prepared(work[0].world), work))
    seconds = sum(pace.seconds(study, blueprint, one) for one in work)
    cells = sum(one.cells for one in work)
    return f"{cells} cell{'s' * (cells != 1)} to run, about {in_words(seconds)} here"
