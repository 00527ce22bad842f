"""Which method does with a demonstration set what ICL does with it: all methods of a run, by their specific share."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.forest import Effect
from demograd.report.effects import ForestPanel, state, why_unbounded
from demograd.report.run import ReportedRun
from demograd.report.section import (
    NOTHING,
    Entry,
    Group,
    Head,
    Section,
    Table,
    TableRow,
    entry,
    figure,
    percent,
    section,
)
from demograd.report.sections.claims import deciding_p, p_entry
from demograd.report.sections.matching import CEILING, matched_rows
from demograd.report.sections.validity import opened_by_one
from demograd.statistics import Verdict
from demograd.statistics.number import Number, estimate, number_of, percentage
from demograd.words import Reading, Setting, Weights, listed, task_label

FEWEST = 3
"""Methods that are ranked; of two, the claims say all."""
MOST_NAMED = 3
"""Measures without a nearest method that are named one by one."""
_UNIT = "specific share, % of the similarity"
_HEADS = (
    Head("method"),
    Head("specific share", "95 % interval"),
    Head("matched"),
    Head("matched − mismatched", "95 % interval"),
    Head("verdict", words=True),
    Head("p", "of the pairing"),
    Head("corrected p"),
    Head("of the ceiling", "by reordering"),
)
_LEAD = (
    "The share of a method’s similarity with ICL that belongs to the demonstration set: 0 where learning from any "
    "other set is as like ICL, 100 % where only learning from the same set is; a large share of a small similarity is "
    "little. The ceiling is ICL itself on the same "
    "demonstrations in another order."
)
_NOTE = (
    "A share without an interval may be any, so its method is ranked after the others, and not compared with them. "
    "p: two-sided, by permutations of the pairing, not corrected, whatever the gates say. "
    "Methods differ in how large their updates are and in how much they learn, at one learning rate each; “learning "
    "along the way” and the curves over learning rates compare them at equal learning and equal size. Methods that "
    "change predictions alone have no similarity inside the network."
)


class World(NamedTuple):
    """Where methods are compared with one another."""

    model: str
    task: str
    labels: str
    k: int


@section("Which method is closest to ICL?", order=-15, brief="Ranking")
def ranking_section(run: ReportedRun) -> Section | None:
    """A forest plot and a table for each world and metric of which three methods or more were matched."""
    ceilings = _shares_of_ceiling(run)
    charts, tables, nearest, none = [], [], list[str](), list[str]()
    worlds = list(_rankings(run))
    varies = [len({world[part] for world, _, _ in worlds}) > 1 for part in range(len(World._fields))]
    for world, metric, compared in worlds:
        about = ", ".join([METRICS[metric].title, *_words(world, varies)])
        ranked = sorted(compared, key=lambda pair: (_is_bounded(pair[0]), _share(pair[0])), reverse=True)
        effects = [effect for comparison, claim in ranked if (effect := _effect(comparison, claim)) is not None]
        if effects:
            charts.append(ForestPanel(about, _UNIT, "as good as none", zero=True, effects=effects).chart())
        if any(comparison["left"] is not None for comparison, _ in ranked):
            sentence = _nearest([comparison for comparison, claim in ranked if _is_specific(comparison, claim)])
            nearest += [f"By {about}, {sentence}."] if sentence else []
            none += [] if sentence else [about]
        ceiling = _ceiling_row(run, world, metric)
        rows = tuple(
            _row(comparison, claim, ceilings.get((world, metric, _method(comparison)))) for comparison, claim in ranked
        )
        tables.append(Table(_HEADS, (Group("", (*ceiling, *rows)),), title=about, folded=about))
    if not tables:
        return None
    if none:
        others = listed(none) if len(none) <= MOST_NAMED else f"the {len(none)} other pairs of measure and task"
        measures = others if nearest else "any of these measures"
        nearest.append(
            f"No method is shown to learn from its own demonstrations what ICL learns from them by {measures}."
        )
    return Section(
        (*figure(charts, "", small=True), *tables),
        " ".join([*nearest, _LEAD]),
        tuple(filter(None, (opened_by_one(run), _NOTE))),
    )


def _nearest(specific: Sequence[Mapping[str, Any]]) -> str:
    """Of those that are specific, as they are ranked, the one of the largest share, and whose intervals overlap with
    its own; then those whose share has no interval, which may be any, and why; empty where none is specific. Methods
    whose verdict is open are not named, however large their share."""
    bounded, unbounded = list[Mapping[str, Any]](), dict[str, list[Mapping[str, Any]]]()
    for comparison in specific:
        (bounded if _is_bounded(comparison) else unbounded.setdefault(why_unbounded(comparison), [])).append(comparison)
    parts = []
    if bounded:
        first, *others = bounded
        low = first["matching"]["share_ci_low"]
        beside = [comparison for comparison in others if comparison["matching"]["share_ci_high"] >= low]
        apart = f", not told apart from {listed(map(_in_words, beside))}" if beside else ""
        nearest = f"the nearest of those shown to be specific{' that can be compared' * bool(unbounded)}"
        parts.append(f"{_in_words(first)} is {nearest}{apart}")
    elif unbounded:
        parts.append("no method can be called nearest")
    for reason, alike in unbounded.items():
        why = f"{reason}, so that the share" if reason else "the share"
        parts.append(f"{listed(map(_in_words, alike))} cannot be compared: {why} has no bounds")
    return "; ".join(parts)


def _in_words(comparison: Mapping[str, Any]) -> str:
    """`kernel regression (5.8 [3.6, 8.2] % of a similarity of 0.717)`."""
    share = _share_of(comparison)
    share_text = f"{share.with_bounds} % of " * bool(share.bounds)
    return f"{_label(comparison)} ({share_text}a similarity of {estimate(comparison['left']).value_text})"


def _is_specific(comparison: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    return state(comparison, claim) == Verdict.SUPPORTED


def _is_bounded(comparison: Mapping[str, Any]) -> bool:
    """Whether its share has an interval."""
    return bool(_share_of(comparison).bounds)


def _rankings(run: ReportedRun) -> Iterator[tuple[World, str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]]:
    """World and metric, with the comparisons of its methods on trained weights, each with its claim."""
    compared: dict[tuple[World, str], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for claim in [] if run.is_synthetic else run.claims["claims"]:
        for comparison in claim["comparisons"] if claim["compare"] == "specific" else ():
            side = comparison["left_side"]
            world = World(side.get("model") or "", comparison["task"], comparison.get("labels") or "", comparison["k"])
            compared.setdefault((world, side["metric"]), []).append((comparison, claim))
    for (world, metric), pairs in compared.items():
        if len({_method(comparison) for comparison, _ in pairs}) >= FEWEST:
            yield world, metric, pairs


def _words(world: World, varies: Sequence[bool]) -> Iterator[str]:
    """What tells this world from the others of the run."""
    words = (world.model, task_label(world.task, world.labels or None), "", f"k {world.k:g}")
    yield from (word for word, differs in zip(words, varies, strict=True) if word and differs)


def _method(comparison: Mapping[str, Any]) -> str:
    return str(comparison["left_side"]["method"])


def _share(comparison: Mapping[str, Any]) -> float:
    """Below all others where the similarity is not above zero, and so has no shares."""
    share = (comparison.get("matching") or {}).get("specific_share")
    return float("-inf") if share is None else float(share)


def _share_of(comparison: Mapping[str, Any]) -> Number:
    """In per cent, with its interval; without a value where the similarity is not above zero, or nothing was tested."""
    matching = comparison.get("matching") or {}
    return percentage(*(matching.get(name) for name in ("specific_share", "share_ci_low", "share_ci_high")))


def _effect(comparison: Mapping[str, Any], claim: Mapping[str, Any]) -> Effect | None:
    number, margin = _share_of(comparison), comparison.get("margin")
    if number.value is None:
        return None
    verdict = state(comparison, claim)
    band = None if margin is None else (-100 * margin, 100 * margin)
    words = f"{number.value_text if not number.bounds else number.with_bounds} {verdict}"
    return Effect(_label(comparison), words, verdict, number.value, number.low, number.high, band)


def _label(comparison: Mapping[str, Any]) -> str:
    place = comparison.get("place")
    return f"{_method(comparison)}, {place}" if place else _method(comparison)


def _row(comparison: Mapping[str, Any], claim: Mapping[str, Any], of_ceiling: float | None) -> TableRow:
    matching = comparison.get("matching") or {}
    share = percent(*(matching.get(name) for name in ("specific_share", "share_ci_low", "share_ci_high")))
    if reason := why_unbounded(comparison):
        share = replace(share, under=(f"no bounds: {reason}",))
    return TableRow(
        _label(comparison),
        (
            share,
            *_similarities(comparison),
            Entry(state(comparison, claim), under=(comparison["reason"],)),
            p_entry(comparison["p_value"]),
            p_entry(*deciding_p(comparison)),
            NOTHING if of_ceiling is None else percent(of_ceiling),
        ),
    )


def _similarities(comparison: Mapping[str, Any]) -> Iterator[Entry]:
    """How alike a set and its own are, and by how much more than a set and another: a share may be large of nothing."""
    matched = estimate(comparison["left"])
    difference = estimate(*(comparison[name] for name in ("difference", "ci_low", "ci_high")))
    yield NOTHING if matched.value is None else Entry(matched.value_text, number=matched)
    yield NOTHING if difference.value is None else entry(difference)


def _ceiling_row(run: ReportedRun, world: World, metric: str) -> Iterator[TableRow]:
    """ICL with the same demonstrations in another order in a method's place, where it was observed."""
    for row in _matched(run, Setting.ICL_REORDERED, Reading.SPECIFIC_SHARE):
        if (_world(row), row["metric"]) == (world, metric):
            number = number_of(row)
            share = NOTHING if number.value is None else percent(number.value, number.low, number.high)
            yield TableRow(CEILING, (share, *[NOTHING] * (len(_HEADS) - 2)), tone="reference")


def _shares_of_ceiling(run: ReportedRun) -> dict[tuple[World, str, str], float]:
    """By world, metric and method, where it was taken at one learning rate: specificity over that of reordered ICL."""
    rows = [
        ((_world(row), row["metric"], row["method"]), row)
        for row in _matched(run, Setting.FT, Reading.SHARE_OF_CEILING)
    ]
    rates = Counter(key for key, _ in rows)
    return {key: float(row["value"]) for key, row in rows if rates[key] == 1 and pd.notna(row["value"])}


def _matched(run: ReportedRun, setting: Setting, reading: Reading) -> list[dict[Any, Any]]:
    """What matrices of trained weights say over all layers and steps; untrained twins have rows of their own, and are
    not ranked."""
    return [
        row
        for (variant, _, of_reading), row in matched_rows(run).items()
        if (of_reading, row["setting"], variant.weights) == (reading, setting, Weights.TRAINED)
    ]


def _world(row: Mapping[Any, Any]) -> World:
    return World(row["model"], row["task"], row["labels"] or "", row["k"])
