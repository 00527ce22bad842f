"""Which method does with a demonstration set what ICL does with it: all methods of a run, by their specific share."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.forest import Effect
from demograd.report.effects import ForestPanel, state
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
from demograd.report.sections.claims import deciding_p
from demograd.report.sections.matching import CEILING, matched_rows
from demograd.statistics import Verdict
from demograd.statistics.number import estimate, number_of, p_value, percentage
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
        ranked = sorted(compared, key=lambda pair: _share(pair[0]), reverse=True)
        effects = [effect for comparison, claim in ranked if (effect := _effect(comparison, claim)) is not None]
        if effects:
            charts.append(ForestPanel(about, _UNIT, "as good as none", zero=True, effects=effects).chart())
            matched = {_label(comparison): estimate(comparison["left"]).value_text for comparison, _ in ranked}
            sentence = _nearest(effects, matched)
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
    return Section((*figure(charts, "", small=True), *tables), " ".join([*nearest, _LEAD]), (_NOTE,))


def _nearest(effects: Sequence[Effect], matched: Mapping[str, str]) -> str:
    """Of those that are specific, the one of the largest share, and whose intervals overlap with its own; empty where
    none is. Methods whose verdict is open are not named, however large their share."""
    specific = [effect for effect in effects if effect.verdict == Verdict.SUPPORTED]
    if not specific:
        return ""
    shares = {
        effect.label: f"{effect.label} ({effect.words.removesuffix(f' {effect.verdict}')} % of a similarity of "
        f"{matched[effect.label]})"
        for effect in specific
    }
    first, *others = specific
    beside = [
        effect
        for effect in others
        if first.low is None or (effect.value if effect.high is None else effect.high) >= first.low
    ]
    apart = f", not told apart from {listed(shares[effect.label] for effect in beside)}" if beside else ""
    return f"{shares[first.label]} is nearest{apart}"


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


def _effect(comparison: Mapping[str, Any], claim: Mapping[str, Any]) -> Effect | None:
    matching, margin = comparison.get("matching") or {}, comparison.get("margin")
    if matching.get("specific_share") is None:
        return None
    number = percentage(*(matching[name] for name in ("specific_share", "share_ci_low", "share_ci_high")))
    assert number.value is not None
    verdict = state(comparison, claim)
    band = None if margin is None else (-100 * margin, 100 * margin)
    words = f"{number.value_text if not number.bounds else number.with_bounds} {verdict}"
    return Effect(_label(comparison), words, verdict, number.value, number.low, number.high, band)


def _label(comparison: Mapping[str, Any]) -> str:
    place = comparison.get("place")
    return f"{_method(comparison)}, {place}" if place else _method(comparison)


def _row(comparison: Mapping[str, Any], claim: Mapping[str, Any], of_ceiling: float | None) -> TableRow:
    matching = comparison.get("matching") or {}
    share = (
        NOTHING
        if matching.get("specific_share") is None
        else percent(*(matching[name] for name in ("specific_share", "share_ci_low", "share_ci_high")))
    )
    p, hypothesis = deciding_p(comparison)
    return TableRow(
        _label(comparison),
        (
            share,
            *_similarities(comparison),
            Entry(state(comparison, claim), under=(comparison["reason"],)),
            NOTHING if p is None else Entry(p_value(p), under=(hypothesis,) if hypothesis else (), number=estimate(p)),
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
