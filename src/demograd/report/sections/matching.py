"""Matching: ICL on each demonstration set against FT on each, as maps and as numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.heat_map import heat_map
from demograd.report.matrices import MatchingMatrices, interaction, specificity_margin
from demograd.report.run import ReportedRun
from demograd.report.scores import LEADING, NEAREST_RATE_NOTE, at_one_rate
from demograd.report.section import (
    NOTHING,
    Chart,
    Entry,
    Figure,
    Head,
    Section,
    Table,
    TableRow,
    entry,
    figure,
    grouped,
    percent,
    section,
)
from demograd.report.subject import Variant, by_world, row_words, short_labels, variant, world_labels
from demograd.statistics.number import NOT_MEASURED, Number, estimate, number_of, p_value
from demograd.words import Control, Reading, Setting

CEILING = "ICL, reordered"
BEYOND, AS_SCORED = "beyond the averages of sets", "as scored"
"""What the two figures of a score show."""
_LEAD = (
    "How to read it: each row is ICL with one demonstration set, each column fine-tuning on one. If fine-tuning did "
    "what ICL does with the same demonstrations, the framed diagonal would glow."
)
_MAPS = "Maps of one figure share their colours."
_BEYOND_AVERAGE = "Each cell without the means of its row and its column: what is left belongs to the pair of sets."
_AS_SCORED = (
    "Each cell minus the mean of the mismatched pairs of its map. A stripe is a set that is alike with all others, "
    "which says nothing about its demonstrations."
)
_REORDERED = (
    "“ICL, reordered” is ICL with the same demonstrations in another order in FT’s place: how far a diagonal can glow."
)
_NOTE = (
    "Matched: ICL and FT on the same set. Mismatched: on different ones. Specificity: their difference, with a 95 % "
    "interval over demonstration sets and queries. p: of the specificity, two-sided, by permutations of the pairing, "
    "not corrected; the claims have the corrected ones. A set is identified where the best assignment of ICL’s sets to "
    "FT’s gives it its own; by chance one is. By the labels: specificity minus that of FT on permuted labels, which is "
    "what depends on the labels alone."
)
_BESIDE = {
    Reading.SPECIFIC_SHARE: Head("specific share", "of the matched"),
    Reading.SHARE_OF_CEILING: Head("of the ceiling", "by reordering"),
    Reading.DOUBLE_DIFFERENCE: Head("by the labels", "double difference"),
}
"""Readings that a study may not have → heading."""
Rows = Mapping[tuple[Variant, str, Reading], Mapping[Any, Any]]


@section("Matching", order=-20)
def matching_section(run: ReportedRun) -> Section | None:
    """Maps of the leading scores for each task, then a table for each matched metric, the leading ones open."""
    rows = matched_rows(run)
    if not rows:
        return None
    shown = at_one_rate(run.scores)
    matrices, margin = MatchingMatrices(run.matching), specificity_margin(run)
    parts: list[Figure | Table] = []
    for world, variants in by_world(shown).items():
        for metric in LEADING:
            parts += _maps(matrices, metric, variants, world, margin)
    has_maps = bool(parts)
    measured = {metric for _, metric, _ in rows}
    parts += [_table(run, rows, matrices, metric) for metric in LEADING if metric in measured]
    parts += [_table(run, rows, matrices, metric) for metric in METRICS if metric in measured and metric not in LEADING]
    has_ceiling = any(variant.method is None for variant, _, _ in rows)
    notes = [_MAPS] * has_maps + [_REORDERED] * has_ceiling + [_NOTE]
    notes += [f"Maps: {NEAREST_RATE_NOTE[0].lower()}{NEAREST_RATE_NOTE[1:]}"] * (has_maps and any(shown.values()))
    return Section(tuple(parts), _LEAD, tuple(notes))


def matched_rows(run: ReportedRun) -> dict[tuple[Variant, str, Reading], dict[Any, Any]]:
    """What the matrices of methods, at each rate, and of reordered ICL say, over all layers and steps."""
    results = run.results
    whole = results[["seed", "layer", "head", "step", "at"]].isna().all(axis=1) & (results["selection"] == "all")
    is_matched = (results["versus"] == Control.OTHER_SETS) & results["metric"].isin(list(METRICS))
    at_a_rate = results["learning_rate"].notna() | (results["setting"] == Setting.ICL_REORDERED)
    return {
        (variant(row), row["metric"], Reading(row["reading"])): row
        for row in results[whole & is_matched & at_a_rate].to_dict("records")
    }


def _maps(
    matrices: MatchingMatrices, metric: str, variants: list[Variant], world: str, margin: float
) -> tuple[Figure, ...]:
    """A map per method and weights, and that of the ceiling of its weights beside it: without the averages of sets, as
    the first screen has it, and as scored."""
    labels = short_labels(variants)
    subjects: dict[Variant, str] = {}
    for untuned in dict.fromkeys(owner.untuned for owner in variants):
        members = [owner for owner in variants if owner.untuned == untuned]
        several = len({owner.untuned for owner in variants}) > 1
        words = ", ".join([CEILING, untuned.weights, *_initialisation(untuned)]) if several else CEILING
        subjects |= {owner: labels[owner] for owner in members} | {untuned: words}
    title, about = METRICS[metric].title, f", {world}" * bool(world)
    beyond = {label: interaction(matrices.matrix(subject, metric)) for subject, label in subjects.items()}
    beyond = {label: matrix for label, matrix in beyond.items() if not matrix.empty}
    largest = max((abs(matrices.matched(variant, metric) or 0.0) for variant in variants), default=0.0)
    scored = {}
    for subject, label in subjects.items():
        if (mean := matrices.mismatched(subject, metric)) is not None:
            matrix = matrices.matrix(subject, metric)
            scored[label] = matrix.assign(value=matrix["value"] - mean)
    return (
        *figure(
            _charts(beyond, title, "beyond average", margin * largest),
            _BEYOND_AVERAGE,
            f"{title} {BEYOND}{about}",
            small=True,
        ),
        *figure(
            _charts(scored, title, "minus mean mismatched", margin * largest),
            _AS_SCORED,
            f"{title} {AS_SCORED}{about}",
            small=True,
        ),
    )


def _charts(maps: Mapping[str, pd.DataFrame], title: str, value: str, least: float) -> list[Chart]:
    """A chart of each map by its label, all in the same colours, whose ends are no nearer to white than `least`."""
    reach = max((least, *(float(matrix["value"].abs().max()) for matrix in maps.values())))
    return [_map(matrix, f"{title}: {label}", value, reach) for label, matrix in maps.items()]


def _initialisation(variant: Variant) -> tuple[str, ...]:
    return (f"initialisation {variant.initialisation}",) if variant.initialisation else ()


def _map(matrix: pd.DataFrame, label: str, value: str, reach: float) -> Chart:
    return heat_map(
        matrix,
        label,
        x="FT on set",
        y="ICL with set",
        value=value,
        colours="signed",
        downwards=True,
        reach=reach,
        is_diagonal_framed=True,
    )


def _table(run: ReportedRun, rows: Rows, matrices: MatchingMatrices, metric: str) -> Table:
    """A row for each method at each rate, beneath reordered ICL."""
    measured = list(dict.fromkeys(variant for variant, name, _ in rows if name == metric))
    tuned = [variant for variant in run.scores.tuned() if variant in set(measured)]
    beside = [reading for reading in _BESIDE if any((variant, metric, reading) in rows for variant in tuned)]
    heads = (
        Head("method, weights"),
        Head("matched"),
        Head("mismatched"),
        Head("specificity", "95 % interval"),
        *(_BESIDE[reading] for reading in beside),
        Head("p"),
        Head("identified", "chance: 1"),
    )
    lines = list(_lines(run, rows, matrices, metric, tuned, beside))
    title = METRICS[metric].title
    return Table(heads, grouped(lines), title, folded="" if metric in LEADING else title)


def _lines(
    run: ReportedRun, rows: Rows, matrices: MatchingMatrices, metric: str, tuned: list[Variant], beside: list[Reading]
) -> Iterator[tuple[str, TableRow]]:
    worlds, shown = world_labels(tuned), set[Variant]()
    for owner in tuned:
        ceiling = owner.untuned
        if ceiling not in shown and (ceiling, metric, Reading.PLAIN) in rows:
            scores = run.scores.numbers.get((ceiling, metric, Setting.ICL_REORDERED), NOT_MEASURED)
            mean = matrices.mismatched(ceiling, metric)
            mismatched = NOTHING if mean is None else Entry(estimate(mean).text, number=estimate(mean))
            entries = (_mean(scores), mismatched, *_numbers(rows, ceiling, metric, beside))
            yield worlds[owner], TableRow(CEILING, tuple(entries), owner.weights, tone="reference")
        shown.add(ceiling)
        pair = [run.scores.get(owner, metric, setting) for setting in (Setting.FT, Setting.FT_OTHER_SETS)]
        rivals = [rival for rival in tuned if rival.method == owner.method]
        entries = (*map(_mean, pair), *_numbers(rows, owner, metric, beside))
        yield (
            worlds[owner],
            TableRow(owner.method or "", tuple(entries), owner.weights, row_words(owner, rivals)),
        )


def _numbers(rows: Rows, variant: Variant, metric: str, beside: Iterable[Reading]) -> Iterator[Entry]:
    """Specificity, the readings beside it, p, and how many sets find their own."""
    plain = rows.get((variant, metric, Reading.PLAIN))
    yield NOTHING if plain is None else entry(number_of(plain))
    for reading in beside:
        row = rows.get((variant, metric, reading))
        number = None if row is None else number_of(row)
        if number is None or number.value is None:
            yield NOTHING
        else:
            yield entry(number) if reading == Reading.DOUBLE_DIFFERENCE else _share(number)
    yield NOTHING if plain is None or pd.isna(plain["p_value"]) else _p(float(plain["p_value"]))
    row = rows.get((variant, metric, Reading.IDENTIFIED))
    identified = None if row is None else number_of(row)
    if identified is None or identified.value is None:
        yield NOTHING
    else:
        sets = f"{round(identified.value * identified.n_seeds)} of {identified.n_seeds}"
        yield Entry(sets, number=identified)


def _mean(number: Number) -> Entry:
    """Without its deviation over sets, which the maps show."""
    return replace(entry(number), std="")


def _share(number: Number) -> Entry:
    return percent(number.value, number.low, number.high)


def _p(value: float) -> Entry:
    return Entry(p_value(value), number=estimate(value))
