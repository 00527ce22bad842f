"""Losses of networks and references: the mean squared error of the query, world by world."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from demograd.published import table
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.networks import Subject, by_subject, seeds, worlds_of
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Head, Section, Table, TableRow, entry, figure, grouped, section
from demograd.statistics.number import Number, written
from demograd.words import Setting

_LEAD = (
    "Mean squared error of the query’s y (in a linear system, of each next state) over test sequences that neither "
    "networks nor references were fitted on. ± of a network is the standard deviation over training seeds; its 95 % "
    "interval is over training seeds and test sequences. A reference is not trained: its interval is conditional, "
    "over test sequences alone."
)
_NOTEBOOKS: dict[str, Any] = {
    "context": 10,
    "world": {"kind": "linear", "dimension": 10, "inputs": "uniform", "half_width": 0.5, "noise": 0.0, "nonzero": None},
}
"""What the notebooks of von Oswald 2023a draw from, in a study's words."""
Margins = dict[tuple[str, str], list[tuple[str, Number]]]
"""(world, network) → each network that matches the world's kernel, and how much more than it this one loses."""


@section("How well do they predict?", order=20, brief="Losses")
def losses_section(run: ReportedRun) -> Section | None:
    """A row per network, then per reference; how much more than the matching network's, where a world has one."""
    rows = run.networks_at_context
    margins: Margins = {}
    for subject, margin in by_subject(rows, "loss_margin").items():
        margins.setdefault((subject.world, subject.network), []).append((subject.reference, margin))
    values = [*by_subject(rows, "loss").items(), *by_subject(rows, "loss", Setting.REFERENCE).items()]
    worlds = worlds_of(subject for subject, _ in values)
    lines = []
    for subject, loss in sorted(values, key=lambda item: worlds.index(item[0].world)):
        under = (seeds(loss.n_seeds),) if subject.network else ()
        entries = [entry(loss), Entry(f"{loss.n:,}", under=under)]
        entries += [_margin(subject, margins)] if margins else []
        name, kind = (subject.network, "network") if subject.network else (subject.reference, "reference")
        lines.append((subject.world, TableRow(name, tuple(entries), kind, tone="" if subject.network else "reference")))
    if not lines:
        return None
    heads = [Head("", "shaded: references"), Head("loss"), Head("test predictions")]
    heads += [Head("above the matching attention’s", "paired")] if margins else []
    charts = [
        dot_chart(
            [
                Dot(subject.network or subject.reference, loss, "network" if subject.network else "reference")
                for subject, loss in values
                if subject.world == world
            ],
            world,
            "mean squared error",
            scale="log",
        )
        for world in worlds
    ]
    lead, note = f"{_sentence(values)} {_LEAD}".strip(), _published(run, values)
    return Section((*figure(charts, "Lines: 95 % intervals."), Table(tuple(heads), grouped(lines), note=note)), lead)


def _published(run: ReportedRun, values: Sequence[tuple[Subject, Number]]) -> str:
    """The numbers that the released notebooks of von Oswald 2023a state, beside those of the worlds they draw from."""
    if run.study.get("context") != _NOTEBOOKS["context"]:
        return ""
    worlds = {name for name, world in run.study["worlds"].items() if _NOTEBOOKS["world"].items() <= world.items()}
    notes = [
        f"{row['source']}: half the squared error of {row['method']} is {row['mean']:.4f}; half of it here, in "
        f"{subject.world}, {loss.value / 2:.4f}."
        for row in table("vonoswald2023a-notebooks").to_dict("records")
        for subject, loss in values
        if subject.world in worlds and subject.reference == row["method"] and not subject.network and loss.value
    ]
    return " ".join(notes)


def _sentence(values: Sequence[tuple[Subject, Number]]) -> str:
    """The smallest loss of a network and of a reference, in the first world."""
    world = values[0][0].world
    clauses = []
    for kind in ("network", "reference"):
        losses = [
            (loss.value, getattr(subject, kind), loss)
            for subject, loss in values
            if subject.world == world and getattr(subject, kind) and loss.value is not None
        ]
        if losses:
            _, name, loss = min(losses, key=lambda item: item[0])
            clauses.append(f"of {kind}s “{name}” loses least, {loss.with_bounds}")
    return f"In {world}, {'; '.join(clauses)}." if clauses else ""


def _margin(subject: Subject, margins: Margins) -> Entry:
    """The margin above the matching network; if several match, above the first, with the others beneath."""
    matching = {name for (world, _), above in margins.items() if world == subject.world for name, _ in above}
    if above := margins.get((subject.world, subject.network)):
        (_, margin), *others = above
        first = entry(margin)
        return replace(first, under=(*first.under, *(f"above “{name}”: {written(number)}" for name, number in others)))
    return Entry("matching", tone="absent") if subject.network in matching else NOTHING
