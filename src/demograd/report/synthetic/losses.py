"""How well each network and each reference predicts: the mean squared error of the query, world by world."""

import pandas as pd

from demograd.report.cell import Cell
from demograd.report.section import NOTHING, Entry, Head, Row, Section, Table, entry, grouped
from demograd.report.synthetic.numbers import REFERENCE, Subject, cells, seeds, worlds_of

_LEAD = (
    "Mean squared error of the query’s y (in a linear system, of each next state) over test sequences that neither "
    "networks nor references were fitted on. ± of a network is the standard deviation over training seeds; its 95 % "
    "interval resamples training seeds and test sequences. A reference is not trained: its interval is conditional, "
    "over test sequences alone."
)


def losses_section(rows: pd.DataFrame) -> Section | None:
    """A row per network, then per reference; how much more than the matching network's, where a world has one."""
    networks, references = cells(rows, "loss"), cells(rows, "loss", REFERENCE)
    margins = {(of.world, of.network): (of.reference, margin) for of, margin in cells(rows, "loss_margin").items()}
    lines = []
    for world in worlds_of([*networks, *references]):
        for of, loss in [*_of(world, networks), *_of(world, references)]:
            under = (seeds(loss.n_seeds),) if of.network else ()
            entries = [entry(loss), Entry(f"{loss.n:,}", under=under)]
            if margins:
                entries.append(_margin(of, margins))
            name, kind = (of.network, "network") if of.network else (of.reference, "reference")
            lines.append((world, Row(name, tuple(entries), kind, tone="" if of.network else "reference")))
    if not lines:
        return None
    heads = [Head("", "shaded: references"), Head("loss"), Head("test predictions")]
    if margins:
        heads.append(Head("above the matching attention’s", "paired"))
    return Section("losses", "How well do they predict?", _LEAD, (Table(tuple(heads), grouped(lines)),))


def _of(world: str, found: dict[Subject, Cell]) -> list[tuple[Subject, Cell]]:
    return [(of, loss) for of, loss in found.items() if of.world == world]


def _margin(of: Subject, margins: dict[tuple[str, str], tuple[str, Cell]]) -> Entry:
    if (world_and_network := (of.world, of.network)) in margins:
        return entry(margins[world_and_network][1])
    matching = {matching for (world, _), (matching, _) in margins.items() if world == of.world}
    return Entry("matching", tone="absent") if of.network in matching else NOTHING
