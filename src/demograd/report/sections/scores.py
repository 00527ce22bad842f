"""Score tables: a row per method and weights, a reference row above them, specificity first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from demograd.metrics import METRICS
from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.leading_world import leading_world
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, Column, Scores, at_one_rate, columns
from demograd.report.section import (
    NOTHING,
    Entry,
    Figure,
    Head,
    Section,
    Table,
    TableRow,
    entry,
    figure,
    grouped,
    section,
)
from demograd.report.subject import Variant, by_world, row_words, short_labels, world_labels
from demograd.statistics.number import Number
from demograd.words import Control, Setting

FEW = 12
"""Rows of a table that is always open; in a longer run, one has to open all but the first."""
WIDEST = 6
"""Columns that fit beside each other on a screen of 1,280 pixels."""
_LEAD = (
    "Specificity leads. It is the score of fine-tuning on ICL’s own demonstrations (matched) minus that of fine-tuning "
    "on the other demonstration sets of the task (mismatched), or on a control. A similarity as high on other "
    "demonstrations, or on wrong labels, does not notice what was learned."
)
_NOTE = (
    "Mean ± sample standard deviation over demonstration sets (no ± under three of them). In brackets: 95 % "
    "interval over demonstration sets and queries, both of which vary (t, from crossed mean squares; of AUC by "
    "bootstrap). Where “conditional” stands beneath, it is conditional on these demonstrations: queries alone vary."
)
_REFERENCE = (
    "“ICL, reordered” is ICL with the same demonstrations in another order, in the place of FT: how alike ICL is to "
    "itself. Its noise ceiling, √r taken value by value and then averaged, is about what the best conceivable FT would "
    "score. Where r is below zero it has no root: such values are missing, and counted."
)


@section("Scores", order=245)
def scores_section(run: ReportedRun) -> Section | None:
    """All overall scores of fine-tuning."""
    rows = run.scores.tuned()
    if not rows:
        return None
    tables = [
        _table(run.scores, f"{title}{' (continued)' * (place > 0)}", part, rows)
        for title, group in columns(run.scores).items()
        for place, part in enumerate(_parts(group))
    ]
    notes = (
        (_NOTE, _REFERENCE)
        if any(setting == Setting.ICL_REORDERED for _, _, setting in run.scores.numbers)
        else (_NOTE,)
    )
    shown = at_one_rate(run.scores)
    pictures = [part for world, members in by_world(shown).items() for part in _figure(run.scores, members, world)]
    return Section((*pictures, *tables), f"{_sentence(run)} {_LEAD}".strip(), notes)


def _figure(scores: Scores, variants: Sequence[Variant], world: str) -> tuple[Figure, ...]:
    """A chart per leading score: matched and mismatched, or on a control, and reordered ICL in FT's place."""
    labels, charts, numbers = short_labels(variants), [], []
    settings = {Setting.FT: "FT, matched", **{control.setting: control.setting.words for control in Control}}
    for name in LEADING:
        dots = [
            Dot(label, scores.get(variant, name, setting), words)
            for variant, label in labels.items()
            for setting, words in settings.items()
            if (variant, name, setting) in scores.numbers
        ]
        dots += [
            Dot(f"ICL, reordered, {untuned.weights}", scores.numbers[untuned, name, Setting.ICL_REORDERED], "ICL")
            for untuned in dict.fromkeys(variant.untuned for variant in variants)
            if (untuned, name, Setting.ICL_REORDERED) in scores.numbers
        ]
        numbers += [dot.number for dot in dots]
        charts.append(dot_chart(dots, METRICS[name].title, "cosine", zero=True))
    return figure(charts, interval_note("Lines", numbers), world)


def _sentence(run: ReportedRun) -> str:
    """The leading score of the method that the page begins with, its specificity against other sets, and what was
    found; never the largest of all, which is chosen for its noise."""
    world = leading_world(run)
    if world.leading is None:
        return ""
    number = run.scores.specificity(world.leading, LEADING[0], Control.OTHER_SETS)
    if number.value is None:
        return ""
    matched = run.scores.get(world.leading, LEADING[0], Setting.FT).with_bounds
    verdict = f"; the verdict on {world.finding.about} is “{world.finding.verdict}”" if world.finding else ""
    return (
        f"{METRICS[LEADING[0]].title} of {world.leading.method} ({world.leading.weights}) is {matched} on ICL’s own "
        f"set; its specificity against {Control.OTHER_SETS.words} is {number.with_bounds}{verdict}."
    )


def _parts(group: Sequence[Column]) -> list[list[Column]]:
    """The columns of each table: as many as fit, those of one metric beside each other."""
    parts: list[list[Column]] = [[]]
    for _, members in groupby(group, key=lambda column: column.metric):
        metric = list(members)
        if parts[-1] and len(parts[-1]) + len(metric) > WIDEST:
            parts.append([])
        parts[-1] += metric
    return parts


def _table(scores: Scores, title: str, group: Sequence[Column], rows: Sequence[Variant]) -> Table:
    worlds = world_labels(rows)
    is_untuned = all(column.setting == Setting.ICL for column in group)  # the same whatever the method
    shown = list(dict.fromkeys(variant.untuned for variant in rows)) if is_untuned else rows
    lines: list[tuple[str, TableRow]] = []
    for variant in shown:
        world = worlds[variant] if not is_untuned else world_labels(shown)[variant]
        if not is_untuned:
            lines += [(world, row) for row in _reference(scores, variant, group) if (world, row) not in lines]
        rivals = [rival for rival in rows if worlds.get(rival) == world and rival.method == variant.method]
        entries = tuple(entry(scores.column(variant, column)) for column in group)
        under = () if is_untuned else row_words(variant, rivals)
        lines.append((world, TableRow(variant.method or "ICL", entries, variant.weights, under)))
    heads = (
        Head("setting, weights" if is_untuned else "method, weights"),
        *(Head(column.title, column.under) for column in group),
    )
    is_folded = title.startswith("Specificity, ") or (len(lines) > FEW and not title.startswith("Specificity"))
    return Table(heads, grouped(lines), title, folded=title if is_folded else "")


def _reference(scores: Scores, variant: Variant, group: Sequence[Column]) -> Iterator[TableRow]:
    """ICL under another order of its demonstrations, where that was observed."""
    numbers = [
        scores.numbers.get((variant.untuned, column.metric, Setting.ICL_REORDERED))
        if column.setting == Setting.FT and column.versus is None
        else None
        for column in group
    ]
    if any(numbers):
        entries = (
            NOTHING if number is None else _with_ceiling(number, scores.ceilings.get((variant.untuned, column.metric)))
            for column, number in zip(group, numbers, strict=True)
        )
        yield TableRow("ICL, reordered", tuple(entries), variant.weights, tone="reference")


def _with_ceiling(number: Number, ceiling: Number | None) -> Entry:
    plain = entry(number)
    if ceiling is None:
        return plain
    missing = f" ({ceiling.missing})" if ceiling.missing else ""
    return replace(plain, under=(*plain.under, f"ceiling √r {ceiling.value_text}{missing}"))
