"""The world that the first screen draws: the one that the answer is about first."""

from collections.abc import Collection
from dataclasses import dataclass

from demograd.report.answer import LedComparison, led_comparisons
from demograd.report.run import ReportedRun
from demograd.report.scores import at_one_rate
from demograd.report.subject import Variant, in_order, world_labels
from demograd.statistics import Finding, Verdict
from demograd.words import Weights

FEW = 4
"""Methods that fit on the screen; the others stand in the sections."""


@dataclass(frozen=True)
class LeadingWorld:
    """A world (model, task, labels, k), and what was fine-tuned in it."""

    leading: Variant | None
    """The method whose map is drawn; None where there is none."""
    tuned: tuple[Variant, ...]
    untuned: Variant | None
    """ZSL and ICL of that world."""
    more: int
    """Methods that are not drawn."""
    words: str
    """What it is called, where the run has several worlds; else empty."""
    finding: Finding | None
    """What was found of the leading method; None: nothing."""


def leading_world(run: ReportedRun) -> LeadingWorld:
    """The world of the first finding that is decided, else of the first one, else the run's first."""
    variants = [variant for variant in at_one_rate(run.scores) if not _is_baseline(run, variant)]
    led = sorted(led_comparisons(run), key=lambda item: item.finding.verdict == Verdict.UNDECIDED)
    tasks = {variant.task for variant in variants}
    pairs = ((item, variant) for item in led for variant in variants if _is_about(item, variant, tasks))
    item, leading = next(pairs, (None, next(iter(variants), None)))
    untuned = in_order(variant.untuned for variant, _, _ in run.scores.numbers if variant.selection == "all")
    world = leading.untuned if leading else next(iter(untuned), None)
    tuned = [variant for variant in variants if variant.untuned == world]
    tuned.sort(key=lambda variant: variant != leading)  # of many methods, it is drawn
    worlds = dict.fromkeys([*(variant.untuned for variant in variants), *([world] if world else [])])
    words = world_labels(worlds)[world] if world and len(worlds) > 1 else ""
    if item and item.comparison["task"] not in tasks:
        words += f", the first of {len(tasks)} tasks"
    finding = item.finding if item else None
    return LeadingWorld(leading, tuple(tuned[:FEW]), world, len(tuned[FEW:]), words, finding)


def _is_baseline(run: ReportedRun, variant: Variant) -> bool:
    """Whether it is of untrained weights beside trained ones."""
    has_trained = (run.results["weights"] == Weights.TRAINED).any()
    return bool(has_trained) and variant.weights != Weights.TRAINED


def _is_about(item: LedComparison, variant: Variant, tasks: Collection[str]) -> bool:
    """Whether a finding is about this method; one that is pooled over tasks is about all of them."""
    comparison, side = item.comparison, item.comparison["left_side"]
    task = comparison["task"] if comparison["task"] in tasks else variant.task
    world = (task, comparison.get("labels", variant.labels), comparison["k"])  # older folders name no labels
    network = (side["model"], side["weights"], side["method"])
    return world == (variant.task, variant.labels, variant.k) and network == (
        variant.model,
        variant.weights,
        variant.method,
    )
