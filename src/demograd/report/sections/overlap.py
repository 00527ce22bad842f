"""Overlap of what ICL and other settings predict next (Shen 2023): how much of ICL there is to be matched at all."""

from demograd.metrics import METRICS
from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import Scores, at_one_rate
from demograd.report.section import Figure, Section, figure, section
from demograd.report.subject import Variant, by_world, in_order
from demograd.words import Setting

SHOWN = {
    "token_overlap": "share of the ten likeliest tokens",
    "overlap_cosine_similarity": "cosine of the probabilities of shared tokens",
}
"""Metric → what its axis counts."""
_SETTINGS = (Setting.ICL_REORDERED, Setting.FT)
_LEAD = (
    "Of each query the likeliest next tokens of ICL are compared with those of fine-tuning (FT). “ICL, reordered” is "
    "ICL with the same demonstrations in another order: an algorithm that does what ICL does would overlap as "
    "much as that."
)


@section("Do they predict the same words?", order=185, brief="Overlap")
def overlap_section(run: ReportedRun) -> Section | None:
    """Dots of overlap and its cosine for each task: ICL reordered, then each method."""
    scores, shown = run.scores, at_one_rate(run.scores)
    variants = in_order(
        variant
        for variant, metric, setting in scores.numbers
        if metric in SHOWN and setting in _SETTINGS and (variant.method is None or variant in shown)
    )
    figures = tuple(part for world, members in by_world(variants).items() for part in _figure(scores, members, world))
    return Section(figures, f"{_sentence(scores, variants)} {_LEAD}".strip()) if figures else None


def _dots(scores: Scores, variants: list[Variant], metric: str) -> list[Dot]:
    several = len({variant.weights for variant in variants}) > 1
    return [
        Dot(
            f"FT by {variant.method}" if variant.method else setting.words,
            scores.numbers[variant, metric, setting],
            variant.weights if several else "",
        )
        for setting in _SETTINGS
        for variant in variants
        if (variant, metric, setting) in scores.numbers
    ]


def _figure(scores: Scores, variants: list[Variant], world: str) -> tuple[Figure, ...]:
    dots = {metric: _dots(scores, variants, metric) for metric in SHOWN}
    charts = [dot_chart(dots[metric], METRICS[metric].title, axis, zero=True) for metric, axis in SHOWN.items()]
    numbers = [dot.number for members in dots.values() for dot in members]
    return figure(charts, interval_note("Lines", numbers), world)


def _sentence(scores: Scores, variants: list[Variant]) -> str:
    """The overlap of each setting in the first world."""
    first = [variant for variant in variants if variant.untuned == variants[0].untuned]
    dots = [dot for metric in SHOWN for dot in _dots(scores, first, metric) if dot.number.value is not None]
    if not dots:
        return ""
    title = next(METRICS[metric].title for metric in SHOWN if _dots(scores, first, metric))
    labels = dict.fromkeys(dot.label for dot in dots)
    leading = [next(dot for dot in dots if dot.label == label) for label in labels]
    numbers = "; ".join(f"{dot.number.with_bounds} of {dot.label}" for dot in leading)
    return f"{title} with ICL, on {first[0].task}: {numbers}."
