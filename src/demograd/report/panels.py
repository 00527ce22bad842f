"""The panels of the first screen: maps of matching, similarities as dots, and what was learned as bars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.headed_bars import headed_bars
from demograd.report.charts.headed_dots import headed_dots
from demograd.report.charts.headings import Heading
from demograd.report.charts.heat_map import heat_map
from demograd.report.leading_world import LeadingWorld
from demograd.report.matrices import MatchingMatrices, interaction, specificity_margin
from demograd.report.run import Check, ReportedRun
from demograd.report.scores import LEADING, at_one_rate
from demograd.report.section import Chart, Key
from demograd.report.subject import Variant, short_labels, weights_rank
from demograd.statistics.number import Number
from demograd.words import Control, Setting, Weights

METRIC = LEADING[0]
"""The similarity that leads the page."""
_MAP = 205
"""Pixels of the side of a map."""
_MATCHED, _MISMATCHED, _UNTRAINED = "own set (matched)", "other sets (mismatched)", "own set, untrained"
_CONTROLS = {Control.PERMUTED_LABELS: "own set, labels permuted", Control.OTHER_TASK: "another task"}
_MEANINGS = {
    "auc": "how often a query of a class scores above one of another class; chance is 0.5",
    "accuracy": "share of queries that are predicted right",
}
"""What shows that something was learned → what it is; the first that was measured is drawn."""
_SET = ("demonstration set", "demonstrations that were drawn together; no two sets share one")
_CEILING = ("ceiling", "ICL with the same set in another order in FT’s place: how far a diagonal can glow")


@dataclass(frozen=True)
class Panel:
    """One question of the first screen with the drawings that answer it."""

    name: str
    title: str
    lead: str
    charts: tuple[Chart, ...]
    words: tuple[tuple[str, str], ...] = ()
    """Word → what it means, of those that a newcomer does not know."""
    numbers: tuple[tuple[Setting, Number], ...] = ()
    """Those that are drawn with their intervals, each with the setting that it is of."""
    legend: tuple[Key, ...] = ()
    """Of lines."""


def maps_panel(run: ReportedRun, world: LeadingWorld) -> Panel | None:
    """ICL with each set against FT on each, beside ICL with each set in another order, in the same colours.

    The ends of the colours are no nearer to white than the margin, so that what is as good as none looks like it.
    """
    if world.leading is None:
        return None
    matrices = MatchingMatrices(run.matching)
    tuned, reordered = (
        interaction(matrices.matrix(subject, METRIC)) for subject in (world.leading, world.leading.untuned)
    )
    if tuned.empty:
        return None
    maps = [(f"FT by {world.leading.method}", "fine-tuned on set", tuned)]
    if not reordered.empty:
        maps.append(("the ceiling: ICL, reordered", "reordered set", reordered))
    least = specificity_margin(run) * abs(matrices.matched(world.leading, METRIC) or 0.0)
    reach = max(least, *(float(matrix["value"].abs().max()) for _, _, matrix in maps))
    charts = tuple(
        heat_map(
            matrix,
            label,
            x=x,
            y="in-context learning with set",
            value="similarity beyond average",
            colours="signed",
            width=_MAP,
            height=_MAP,
            downwards=True,
            reach=reach,
            is_diagonal_framed=True,
        )
        for label, x, matrix in maps
    )
    has_ceiling = len(maps) > 1
    lead = "Were fine-tuning in-context learning, its framed diagonal would glow"
    lead += " like that of the ceiling." if has_ceiling else "."
    words = (_SET, *[_CEILING] * has_ceiling)
    return Panel("maps", _titled("Each set against each.", world), lead, charts, words)


def similarities_panel(run: ReportedRun, world: LeadingWorld) -> Panel | None:
    """Similarity on the same set, on others, under controls and without training, as dots with intervals."""
    labels = short_labels(world.tuned)
    points, headings = [], []
    numbers: list[tuple[Setting, Number]] = []
    for row, variant in enumerate(world.tuned):
        difference = run.scores.specificities.get((variant, METRIC, Control.OTHER_SETS))
        headings.append(Heading(labels[variant], difference.with_bounds if difference else ""))
        series = dict(_series(run, variant))
        points += [{"row": row, "series": name, **bounded(number)} for name, number in series.items()]
        numbers += [(Setting.FT, number) for number in (difference, *series.values()) if number]
    data = pd.DataFrame(points, columns=["row", "series", "value", "low", "high"])
    present = set(data.dropna(subset=["value"])["series"])
    if not present:
        return None
    names = [name for name in (_MATCHED, _MISMATCHED, *_CONTROLS.values(), _UNTRAINED) if name in present]
    drawing = headed_dots(data, "", headings, names, x=f"similarity to ICL ({METRICS[METRIC].title}, a cosine)")
    lead = "Fine-tuning on a set, against in-context learning with its own set and with others. Right: specificity."
    words = (
        (METRICS[METRIC].title, "cosine of what ICL and what FT add to attention outputs: 1 alike, 0 unrelated"),
        ("specificity", "the difference: similarity on the own set minus that on others"),
    )
    return Panel("similarities", _titled("How similar?", world), lead + _more(world), (drawing,), words, tuple(numbers))


def _series(run: ReportedRun, variant: Variant) -> Iterator[tuple[str, Number]]:
    yield _MATCHED, run.scores.get(variant, METRIC, Setting.FT)
    yield _MISMATCHED, run.scores.get(variant, METRIC, Setting.FT_OTHER_SETS)
    for control, name in _CONTROLS.items():
        yield name, run.scores.get(variant, METRIC, control.setting)
    untrained = _untrained(run, variant)
    if untrained is not None:
        yield _UNTRAINED, run.scores.get(untrained, METRIC, Setting.FT)


def _untrained(run: ReportedRun, variant: Variant) -> Variant | None:
    """The same method on the least trained weights beside these, of several initialisations the first."""
    if variant.weights != Weights.TRAINED:
        return None
    about = (variant.model, variant.task, variant.labels, variant.k, variant.method)
    rivals = [
        rival
        for rival in at_one_rate(run.scores)
        if (rival.model, rival.task, rival.labels, rival.k, rival.method) == about and rival.weights != variant.weights
    ]
    return max(rivals, key=lambda rival: (weights_rank(rival.weights), -(rival.initialisation or 0)), default=None)


def learning_panel(run: ReportedRun, world: LeadingWorld) -> Panel | None:
    """What the model predicts without demonstrations, with them in the prompt, and after fine-tuning on them."""
    if world.untuned is None:
        return None
    numbers = {
        metric: [
            (setting, world.untuned, number)
            for setting in (Setting.ZSL, Setting.ICL)
            if (number := run.scores.numbers.get((world.untuned, metric, setting)))
        ]
        + [(Setting.FT, variant, run.scores.get(variant, metric, Setting.FT)) for variant in world.tuned]
        for metric in _MEANINGS
    }
    metric = next((metric for metric, bars in numbers.items() if any(bar[2].value is not None for bar in bars)), None)
    if metric is None:
        return None
    labels, bars = short_labels(world.tuned), numbers[metric]
    title, chance = METRICS[metric].title, _chance(run, metric, world.untuned)
    checks = [_gate(run, setting, variant) for setting, variant, _ in bars]
    others = _opened_by_others(checks) if metric == "auc" else []
    marks = [_mark(check, others) for check in checks]
    headings = [
        Heading(f"{mark} {_bar_name(setting, variant, labels)}".strip(), number.with_bounds)
        for mark, (setting, variant, number) in zip(marks, bars, strict=True)
    ]
    data = pd.DataFrame([{"row": row, **bounded(bar[2])} for row, bar in enumerate(bars)])
    drawing = headed_bars(data, "", headings, x=f"{title} (0 to 1)", most=1.0, level=chance, name="chance")
    undecided = "; ?: undecided with so few demonstration sets" * ("?" in marks)
    by = f"by {title}; (✓): by {' or '.join(others)} alone" if others else "by AUC, calibrated accuracy or likelihood"
    lead = (
        f"✓: better than without demonstrations (ZSL), {by}; ✗: not shown to be{undecided}."
        if run.validity
        else "Without demonstrations (ZSL), with them in the prompt, and after training on them."
    )
    words = ((title, _MEANINGS[metric]),)
    shown = tuple((setting, number) for setting, _, number in bars)
    return Panel("learning", _titled("Did anything learn?", world), lead, (drawing,), words, shown)


def _bar_name(setting: Setting, variant: Variant, labels: dict[Variant, str]) -> str:
    return f"FT by {labels[variant]}" if setting == Setting.FT else setting


def _gate(run: ReportedRun, setting: Setting, variant: Variant) -> Check | None:
    """The validity check of whether it learned."""
    name = {Setting.ICL: "in_context_learning", Setting.FT: "fine_tuning"}.get(setting)
    method = f"{variant.method} {variant.texts['learning_rate']}" if variant.method else None
    checks = [check for check in run.validity if check.check == name and _is_checked(check, variant, method)]
    return checks[0] if checks else None


def _opened_by_others(checks: Sequence[Check | None]) -> list[str]:
    """The measures by which gates are open without AUC."""
    measures = (check.better for check in checks if check and check.passed and "AUC" not in check.better)
    return list(dict.fromkeys(measure for better in measures for measure in better))


def _mark(check: Check | None, others: Sequence[str]) -> str:
    """✓ or ✗: whether it learned, (✓): by none but these measures; ? where that is undecided."""
    if check is None:
        return ""
    if check.undecided or not check.passed:
        return "?" if check.undecided else "✗"
    return "(✓)" if check.better and {*check.better} <= {*others} else "✓"


def _is_checked(check: Check, variant: Variant, method: str | None) -> bool:
    subject = (check.weights, check.task, check.method)
    optional = ((check.model, variant.model), (check.k, variant.k), (check.labels, variant.labels))
    return subject == (variant.weights, variant.task, method) and all(a in (None, b) for a, b in optional)


def _chance(run: ReportedRun, metric: str, variant: Variant) -> float | None:
    """What guessing scores; None where the number of classes is not recorded."""
    if metric == "auc":
        return 0.5
    tasks = run.provenance.get("tasks")
    words = tasks.get(variant.task, {}).get("label_words") if isinstance(tasks, dict) else None
    return 1 / len(words) if isinstance(words, Sequence | dict) and words else None


def bounded(number: Number) -> dict[str, float | None]:
    """Value, low and high, as charts of dots and bars take them."""
    return {"value": number.value, "low": number.low, "high": number.high}


def _titled(title: str, world: LeadingWorld) -> str:
    """The title, and the world where the run has several."""
    return f"{title} On {world.words}" if world.words else title


def _more(world: LeadingWorld) -> str:
    return f" {world.more} more methods stand below." if world.more else ""
