"""Which method does with a demonstration set what ICL does with it: all methods of a run, by their specific share."""

from collections.abc import Iterator, Mapping
from typing import Any

from demograd.metrics import METRICS
from demograd.report.charts.forest import Effect
from demograd.report.effects import ForestPanel, state
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Group, Head, Section, Table, TableRow, figure, percent, section
from demograd.report.sections.claims import deciding_p
from demograd.statistics.number import estimate, p_value, percentage
from demograd.words import Control, Reading, Setting, listed, task_label

FEWEST = 3
"""Methods that are ranked; of two, the claims say all."""
_UNIT = "specific share, % of the similarity"
_HEADS = (
    Head("method"),
    Head("specific share", "95 % interval"),
    Head("verdict", words=True),
    Head("corrected p"),
    Head("of the ceiling", "by reordering"),
)
_LEAD = (
    "The share of a method’s similarity with ICL that belongs to the demonstration set: 0 where learning from any "
    "other set is as like ICL, 100 % where only learning from the same set is. The ceiling is ICL itself on the same "
    "demonstrations in another order."
)
_NOTE = (
    "Methods differ in how large their updates are and in how much they learn, at one learning rate each; “learning "
    "along the way” and the curves over learning rates compare them at equal learning and equal size. Methods that "
    "change predictions alone have no similarity inside the network."
)
World = tuple[str, str, str, Any]
"""Model, task, labels, k."""


@section("Which method is closest to ICL?", order=-15, brief="Ranking")
def ranking_section(run: ReportedRun) -> Section | None:
    """A forest plot and a table for each world and metric of which three methods or more were matched."""
    ceilings = _shares_of_ceiling(run)
    charts, tables, firsts = [], [], list[str]()
    worlds = list(_rankings(run))
    several = len({world for world, _, _ in worlds}) > 1
    for world, metric, compared in worlds:
        about = f"{METRICS[metric].title}{f', {_words(world)}' * several}"
        ranked = sorted(compared, key=lambda pair: _share(pair[0]), reverse=True)
        effects = [effect for comparison, claim in ranked if (effect := _effect(comparison, claim)) is not None]
        if effects:
            charts.append(ForestPanel(about, _UNIT, "as good as none", zero=True, effects=effects).chart())
            firsts.append(f"by {about} {effects[0].label} ({effects[0].words})")
        rows = tuple(
            _row(comparison, claim, ceilings.get((world, metric, _method(comparison)))) for comparison, claim in ranked
        )
        tables.append(Table(_HEADS, (Group("", rows),), title=about, folded=about))
    if not tables:
        return None
    lead = f"Nearest: {listed(firsts)}. {_LEAD}" if firsts else _LEAD
    return Section((*figure(charts, "", small=True), *tables), lead, (_NOTE,))


def _rankings(run: ReportedRun) -> Iterator[tuple[World, str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]]:
    """World and metric, with the comparisons of its methods on trained weights, each with its claim."""
    compared: dict[tuple[World, str], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for claim in [] if run.is_synthetic else run.claims["claims"]:
        for comparison in claim["comparisons"] if claim["compare"] == "specific" else ():
            side = comparison["left_side"]
            world = (side.get("model") or "", comparison["task"], comparison.get("labels") or "", comparison["k"])
            compared.setdefault((world, side["metric"]), []).append((comparison, claim))
    for (world, metric), pairs in compared.items():
        if len({_method(comparison) for comparison, _ in pairs}) >= FEWEST:
            yield world, metric, pairs


def _words(world: World) -> str:
    model, task, labels, k = world
    return ", ".join(filter(None, (model, task_label(task, labels or None), f"k {k}")))


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
            Entry(state(comparison, claim), under=(comparison["reason"],)),
            NOTHING if p is None else Entry(p_value(p), under=(hypothesis,) if hypothesis else (), number=estimate(p)),
            NOTHING if of_ceiling is None else percent(of_ceiling),
        ),
    )


def _shares_of_ceiling(run: ReportedRun) -> dict[tuple[World, str, str], float]:
    """By world, metric and method, where it was taken: specificity over that of reordered ICL."""
    results = run.results
    whole = results[["seed", "layer", "head", "step", "at"]].isna().all(axis=1) & (results["selection"] == "all")
    is_share = (results["reading"] == Reading.SHARE_OF_CEILING) & (results["versus"] == Control.OTHER_SETS)
    # untrained twins have shares of their own, and are not ranked
    of_ft = (results["setting"] == Setting.FT) & (results["weights"] == "trained")
    rows = results[whole & is_share & of_ft & results["value"].notna()]
    return {
        ((row["model"], row["task"], row["labels"] or "", row["k"]), row["metric"], row["method"]): float(row["value"])
        for row in rows.to_dict("records")
    }
