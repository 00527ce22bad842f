"""The comparisons of `claims.json` as rows of forest plots: a panel for each claim and unit."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from demograd.metrics import METRICS
from demograd.report.charts.forest import NOT_COUNTED, Effect, forest_plot
from demograd.report.section import Chart
from demograd.statistics import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE, Verdict
from demograd.statistics.number import Number, estimate, percentage
from demograd.words import Control, Setting, listed, task_label

MOST = 25
"""Of more comparisons, only those that are decided are drawn."""
_SHARE = "specific share, % of the similarity"
_NO_INTERVAL = "(no interval)"
_LONGEST = 44
"""Characters of a reason that has room behind its verdict."""


@dataclass
class ForestPanel:
    """What shares an axis."""

    title: str
    unit: str
    band: str
    zero: bool
    effects: list[Effect] = field(default_factory=list)

    def chart(self) -> Chart:
        """The forest plot."""
        return forest_plot(self.effects, self.title, self.unit, band=self.band, zero=self.zero)


def state(comparison: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """The verdict, where "undecided" is said only of what the data leave open: with sets enough and a p-value that no
    one corrected, a gate is shut, and the numbers do not count whatever they are."""
    verdict = str(comparison["verdict"]) if comparison["verdict"] in set(Verdict) else str(Verdict.UNDECIDED)
    least = SEEDS_FOR_SPECIFICITY if str(claim["compare"]).startswith("specific") else SEEDS_TO_DECIDE
    is_tested = comparison.get("p_corrected") is not None or comparison.get("p_equal_corrected") is not None
    could_be = comparison.get("p_value") is not None and comparison["n_seeds"] >= least
    return NOT_COUNTED if verdict == Verdict.UNDECIDED and could_be and not is_tested else verdict


def amounts(claims: Sequence[Mapping[str, Any]]) -> str:
    """`Of 20 comparisons 9 are decided: 4 supported, 5 not specific; 8 do not count, for a gate is shut: nothing was
    learned there; 3 are open for want of data.`"""
    counts = Counter(state(comparison, claim) for claim in claims for comparison in claim["comparisons"])
    decided = {verdict: counts[verdict] for verdict in Verdict if verdict != Verdict.UNDECIDED and counts[verdict]}
    n, n_decided = counts.total(), sum(decided.values())
    words = ", ".join(f"{count} {verdict}" for verdict, count in decided.items())
    is_are = "is" if n_decided == 1 else "are"
    sentence = f"Of {n} comparison{'s' * (n != 1)} {n_decided or 'none'} {is_are} decided{f': {words}' * bool(words)}"
    if shut := counts[NOT_COUNTED]:
        sentence += f"; {shut} {'do' if shut > 1 else 'does'} not count, for a gate is shut: nothing was learned there"
    if undecided := counts[Verdict.UNDECIDED]:
        sentence += f"; {undecided} {'are' if undecided > 1 else 'is'} open for want of data"
    return f"{sentence}."


def panels(claims: Sequence[Mapping[str, Any]]) -> tuple[list[ForestPanel], str]:
    """The panels in the order of the claims, and sentences on what is not drawn; empty if all is."""
    compared = [(claim, comparison) for claim in claims for comparison in claim["comparisons"]]
    several = {name for name in ("task", "labels", "k") if len({pair[1].get(name) for pair in compared}) > 1}
    rows = [row for claim in claims for row in _rows(claim, several)]
    left_out = []
    if len(rows) > MOST:
        undecided = [row for row in rows if row[1].verdict in (Verdict.UNDECIDED, NOT_COUNTED)]
        rows = [row for row in rows if row not in undecided]
        left_out.append(f"{len(undecided)} that are undecided")
    by_axis: dict[tuple[str, str], ForestPanel] = {}
    units: dict[str, set[str]] = {}
    for panel, _ in rows:
        units.setdefault(panel.title, set()).add(panel.unit)
    for panel, effect in rows:
        by_axis.setdefault((panel.title, panel.unit), panel).effects.append(effect)
    for panel in by_axis.values():
        panel.title += f": {panel.unit.partition(' (')[0]}" * (len(units[panel.title]) > 1)
    without = sum(_has_no_number(comparison) for _, comparison in compared)
    left_out += [f"{without} without a number"] * bool(without)
    sentences = [f"Not drawn, but in the tables: {listed(left_out)}."] if left_out else []
    unbounded = (why_unbounded(comparison) for _, comparison in compared if _is_open(comparison))
    if reasons := dict.fromkeys(filter(None, unbounded)):
        sentences.append(f"“No interval”: a share has no bounds where {' or '.join(reasons)}.")
    return list(by_axis.values()), " ".join(sentences)


def _has_no_number(comparison: Mapping[str, Any]) -> bool:
    if "numbers" in comparison:
        return all(number["value"] is None for number in comparison["numbers"])
    return _effect_of(comparison).value is None


def _rows(claim: Mapping[str, Any], several: set[str]) -> list[tuple[ForestPanel, Effect]]:
    """Each effect of a claim with the panel that it belongs to."""
    comparisons = claim["comparisons"]
    parts = _labels([comparison["compared"] for comparison in comparisons])
    labels = [
        ", ".join(filter(None, (own, *_world(comparison, several)))) or in_words(comparison["compared"])
        for comparison, (own, _) in zip(comparisons, parts, strict=True)
    ]
    rows: list[tuple[ForestPanel, Effect]] = []
    for comparison, label, (_, shared) in zip(comparisons, _told_apart(labels, comparisons), parts, strict=True):
        words = state(comparison, claim)
        if "numbers" in comparison:
            rows += _in_ranges(comparison, claim, label, words)
            continue
        number = _effect_of(comparison)
        if number.value is None:
            continue
        band = _band(comparison)
        text = f"{_amount(comparison, number)} {words}"
        if words in (NOT_COUNTED, Verdict.UNDECIDED):
            reason = comparison["reason"].partition(";")[0].partition(" (")[0]
            words_shown = f"undecided: {reason}" if len(reason) <= _LONGEST else "undecided"
            text = words_shown if words == NOT_COUNTED else text
        unit = _unit(comparison)
        is_apart = shared and unit != _SHARE and not shared.endswith(" − 0")
        unit = f"{shared} ({unit})" if is_apart else unit
        panel = ForestPanel(claim["claim"], unit, "as good as none" * (band is not None), zero=True)
        rows.append((panel, Effect(label, text, words, number.value, number.low, number.high, band)))
    return rows


def _in_ranges(
    comparison: Mapping[str, Any], claim: Mapping[str, Any], label: str, verdict: str
) -> Iterator[tuple[ForestPanel, Effect]]:
    """A row for each number of a statement; several of one kind are counted."""
    titles = [number["title"] for number in comparison["numbers"]]
    for place, number in enumerate(comparison["numbers"]):
        n = titles.count(number["title"])
        name = f"{titles[: place + 1].count(number['title'])} of {n}, {label}" if n > 1 else label
        if number["value"] is not None:
            panel = ForestPanel(claim["claim"], number["title"], "where it should lie", zero=False)
            yield panel, _in_range(number, name, verdict)


def _in_range(number: Mapping[str, Any], label: str, verdict: str) -> Effect:
    low, high = (inf * sign if number[name] is None else number[name] for name, sign in (("low", -1), ("high", 1)))
    shown = estimate(number["value"], number["ci_low"], number["ci_high"])
    words = f"{shown.text} {shown.bounds} {verdict}"
    return Effect(label, words, verdict, number["value"], number["ci_low"], number["ci_high"], (low, high))


def _effect_of(comparison: Mapping[str, Any]) -> Number:
    """The specific share in per cent, or the difference in the metric's own unit: a similarity that is not above zero
    has no shares."""
    if _is_share(comparison):
        matching = comparison["matching"]
        return percentage(*(matching[name] for name in ("specific_share", "share_ci_low", "share_ci_high")))
    return estimate(comparison["difference"], comparison["ci_low"], comparison["ci_high"])


def _is_share(comparison: Mapping[str, Any]) -> bool:
    return (comparison.get("matching") or {}).get("specific_share") is not None


def _amount(comparison: Mapping[str, Any], number: Number) -> str:
    """The number and its interval; of a share, in words, that it has none."""
    return f"{number.value_text} {_NO_INTERVAL}" if _is_open(comparison) else number.with_bounds


def _is_open(comparison: Mapping[str, Any]) -> bool:
    """Whether it is a share without an interval."""
    return _is_share(comparison) and not _effect_of(comparison).bounds


def why_unbounded(comparison: Mapping[str, Any]) -> str:
    """Why the share of the similarity has no interval, as a clause; empty where it has one, where nothing was matched,
    and where a run of an older version leaves it open."""
    matching = comparison.get("matching")
    if matching is None or matching["share_ci_low"] is not None:
        return ""
    # older versions did not say: where the difference has an interval, only the similarity can be in the share's way
    of_older = "the similarity is not shown to be above zero" if comparison["ci_low"] is not None else ""
    return str(matching.get("why_no_interval", of_older))


def _band(comparison: Mapping[str, Any]) -> tuple[float, float] | None:
    """What counts as none, in the unit of the effect; of matching a share, so that a difference has none."""
    margin = comparison.get("margin")
    if margin is None or (comparison.get("matching") is not None and not _is_share(comparison)):
        return None
    scale = 100.0 if _is_share(comparison) else 1.0
    return -scale * margin, scale * margin


def _unit(comparison: Mapping[str, Any]) -> str:
    if _is_share(comparison):
        return _SHARE
    side = comparison.get("left_side")
    name = side["metric"] if isinstance(side, Mapping) else ""
    title = METRICS[name].title if name in METRICS else name.replace("_", " ")
    if comparison.get("right_side") == 0:
        return title
    is_cosine = name in METRICS and METRICS[name].group == "similarity"
    return "difference of cosines" if is_cosine else f"difference in {title}" if title else "difference"


def _world(comparison: Mapping[str, Any], several: set[str]) -> list[str]:
    """What tells a comparison from those of the same kind in other worlds."""
    task = task_label(comparison["task"], comparison.get("labels") if "labels" in several else None)
    return [task] * bool({"task", "labels"} & several) + [f"k {comparison['k']}"] * ("k" in several)


def _told_apart(labels: Sequence[str], comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels, and behind those that are the same the model, the initialisation and the place that are not."""
    networks = [_network(comparison) for comparison in comparisons]
    rivals: dict[str, list[tuple[str, ...]]] = {}
    for label, network in zip(labels, networks, strict=True):
        rivals.setdefault(label, []).append(network)
    distinct: list[str] = []
    for label, network in zip(labels, networks, strict=True):
        of_rivals = zip(*rivals[label], strict=True)
        telling = (
            words
            for words, rivals_words in zip(network, of_rivals, strict=True)
            if words and {*rivals_words} != {words}
        )
        distinct.append(", ".join((label, *telling)))
    return distinct


def _network(comparison: Mapping[str, Any]) -> tuple[str, ...]:
    """Model, initialisation, and place on curves over learning rates, in words; empty where it has none."""
    side, initialisation = comparison.get("left_side"), comparison.get("initialisation")
    model = side.get("model") if isinstance(side, Mapping) else None
    return (
        model or "",
        "" if initialisation is None else f"initialisation {initialisation}",
        comparison.get("place") or "",
    )


def _labels(compared: Sequence[str]) -> list[tuple[str, str]]:
    """For each comparison what is its own, `SimAOU, GD`, and what all share, `trained − no_training`."""
    parts = [_parts(text) for text in compared]
    if not any(" − " in text for text in compared):  # a statement names a network, which may have commas
        return [(text, "") for text in compared]
    are_several = len(set(map(tuple, parts))) > 1  # else what is compared would be a row without a subject
    shared = [part for part in parts[0] if all(part in other for other in parts) and (are_several or " − " in part)]
    both = ", ".join(part for part in shared if " − " in part)
    return [(", ".join(part for part in own if part not in shared), both) for own in parts]


def _parts(compared: str) -> list[str]:
    """`SimAOU, GD, trained: FT − FT_other_sets, at one learning rate each` → SimAOU; GD; trained; FT − FT on other
    sets."""
    about, _, sides = in_words(compared).partition(": ")
    for place in (", at one learning rate each", ", at one learning rate"):
        sides = sides.removesuffix(place)
    return [*about.split(", "), *([sides] if sides else [])]


def in_words(compared: str) -> str:
    """`SimAOU: FT − FT on permuted labels`: a comparison with its settings in words."""
    for setting in (Setting.ICL_REORDERED, *(control.setting for control in Control)):
        compared = compared.replace(setting, setting.words)
    return compared
