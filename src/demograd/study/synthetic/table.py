"""From trained networks and tuned references to the rows of the results table (docs/run-folder.md)."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Generator

from demograd.study.synthetic.constructions import construction_rows
from demograd.study.synthetic.questions.agreement import agreement_rows
from demograd.study.synthetic.questions.blocks import block_rows
from demograd.study.synthetic.questions.comparison import against_rows, descent_rows, margin_rows, over_training_rows
from demograd.study.synthetic.questions.copying import copying_rows
from demograd.study.synthetic.questions.elsewhere import elsewhere_rows
from demograd.study.synthetic.questions.losses import by_layers_rows, interpolation_rows, loss_rows
from demograd.study.synthetic.questions.order import order_rows
from demograd.study.synthetic.questions.preconditioners import preconditioner_rows
from demograd.study.synthetic.questions.problems import Problems, tested
from demograd.study.synthetic.questions.recurrence import recurrence_rows
from demograd.study.synthetic.questions.sparsity import sparsity_rows
from demograd.study.synthetic.questions.systems import system_rows
from demograd.study.synthetic.questions.training import clamped_rows, training_rows
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import failed_row, of_reference
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import (
    SyntheticCell,
    Trained,
)
from demograd.synthetic import seeded
from demograd.words import Row


def rows_of(
    study: SyntheticStudy, references: dict[str, list[Tuned]], networks: dict[SyntheticCell, Trained]
) -> Iterator[Row]:
    """All rows of a synthetic study, from its tuned references and trained networks."""
    yield from construction_rows(study)
    for world in study.worlds:
        for row in _world_rows(study, world, references[world], _by_seed(study, world, networks)):
            yield replace(row, task=row.task or world, k=study.context if row.k is None else row.k, dtype="float32")


def by_context_rows(
    study: SyntheticStudy, references: dict[str, list[Tuned]], networks: dict[SyntheticCell, Trained]
) -> Iterator[Row]:
    """`loss_by_context` of every network and reference at the study's context: where networks are trained for several,
    each has a study of its own."""
    for world in study.worlds:
        by_seed = _by_seed(study, world, networks)
        ready = [reference for reference in references[world] if reference.learner]
        problems = Problems(study, world, seeded("test", study.test_seed, study.device))()
        for row in (
            *filter(None, (failed_row(network, of_network) for network, of_network in by_seed.items())),
            *loss_rows(tested(study, world, ready, by_seed, problems)),
        ):
            if row.seed is None:
                yield replace(row, metric="loss_by_context", at=float(study.context), task=world, dtype="float32")


def _by_seed(
    study: SyntheticStudy, world: str, networks: dict[SyntheticCell, Trained]
) -> dict[str, dict[int, Trained]]:
    """Network → seed → what was trained in a world."""
    return {
        name: {cell.seed: trained for cell, trained in networks.items() if (cell.world, cell.network) == (world, name)}
        for name in study.networks
    }


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


def regression_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    generator: Generator,
) -> Iterator[Row]:
    """Rows of the world of this name. A network that diverged has one, and is in no other."""
    yield from filter(None, (failed_row(network, by_seed) for network, by_seed in networks.items()))
    problems = Problems(study, name, generator)
    on_problems = tested(study, name, references, networks, problems())
    yield from loss_rows(on_problems)
    yield from clamped_rows(on_problems.networks, on_problems.problems)
    yield from against_rows(on_problems)
    yield from over_training_rows(on_problems, networks)
    yield from margin_rows(on_problems)
    yield from descent_rows(on_problems)
    yield from by_layers_rows(on_problems)
    yield from elsewhere_rows(on_problems, problems)
    yield from preconditioner_rows(on_problems)
    yield from block_rows(on_problems, networks)
    yield from agreement_rows(on_problems)
    yield from interpolation_rows(on_problems)
    yield from recurrence_rows(on_problems)
    yield from copying_rows(on_problems, networks)
    yield from order_rows(on_problems)
