"""What a reader sees before scrolling: the answer, the picture behind it, and whether anything was learned at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demograd.report.answer import QUESTION, Clause, answer
from demograd.report.leading_world import LeadingWorld, leading_world
from demograd.report.network_answer import claim_words, network_answer
from demograd.report.network_panels import elsewhere_panel, losses_panel, sensitivities_panel
from demograd.report.network_world import network_world, words_of
from demograd.report.panels import Panel, learning_panel, maps_panel, similarities_panel
from demograd.report.run import ReportedRun
from demograd.report.subject import is_layer_causal
from demograd.statistics.number import Number
from demograd.words import Setting, listed


@dataclass(frozen=True)
class FirstScreen:
    """The parts of the first screen; what a run lacks is empty."""

    question: str
    clauses: tuple[Clause, ...]
    """Empty: the run's own sentence stands alone."""
    panels: tuple[Panel, ...]
    words: tuple[tuple[str, str], ...]
    """Word → what it means, in a line: those that stand on the screen."""


def first_screen(run: ReportedRun) -> FirstScreen:
    """The first screen of a run."""
    return _of_networks(run) if run.is_synthetic else _of_language_model(run)


def _of_language_model(run: ReportedRun) -> FirstScreen:
    clauses = answer(run)
    world = leading_world(run)
    makers = (maps_panel, similarities_panel, learning_panel)
    panels = tuple(panel for make in makers if (panel := make(run, world)) is not None)
    return FirstScreen(QUESTION if clauses else "", clauses, panels, tuple(_words(panels, world)))


def _of_networks(run: ReportedRun) -> FirstScreen:
    question, clauses = network_answer(run)
    world = network_world(run)
    if world is None:
        return FirstScreen(question, clauses, (), ())
    makers = (losses_panel, sensitivities_panel, elsewhere_panel)
    panels = tuple(panel for make in makers if (panel := make(run, world)) is not None)
    words = [*words_of(run, world), *claim_words(run), *(word for panel in panels for word in panel.words)]
    if over := _over_seeds([number for panel in panels for _, number in panel.numbers]):
        words.append(("[ ]", f"95 % interval {over}"))
    return FirstScreen(question, clauses, panels, tuple(words))


def _over_seeds(numbers: Sequence[Number]) -> str:
    """What the intervals of these numbers of a synthetic run are over; empty where none has one."""
    conditional = {number.conditional for number in numbers if number.bounds}
    if conditional == {True, False}:
        return "over training seeds and test sequences; of algorithms over test sequences alone"
    if conditional == {False}:
        return "over training seeds and test sequences"
    return "over test sequences alone" if conditional else ""


def _words(panels: Sequence[Panel], world: LeadingWorld) -> Iterator[tuple[str, str]]:
    """The words that a newcomer does not know, each in a line."""
    yield (
        "in-context learning (ICL)",
        "the model reads demonstrations (labelled examples) in its prompt; weights stay",
    )
    if world.tuned:
        yield "fine-tuning (FT)", "gradient descent on the same demonstrations changes weights; the prompt has none"
    if causal := [str(tuned.method) for tuned in world.tuned if is_layer_causal(tuned.method_options)]:
        yield (
            listed(dict.fromkeys(causal)),
            "each layer learns from a loss of its own; no gradient leaves it",
        )
    yield "ZSL", "zero-shot: neither, the query alone"
    for panel in panels:
        yield from panel.words
    if over := _over([shown for panel in panels for shown in panel.numbers]):
        yield "[ ]", f"95 % interval {over}"


def _over(numbers: Sequence[tuple[Setting, Number]]) -> str:
    """What the intervals of these numbers are over; empty where none has one."""
    bounded = [(setting, number.conditional) for setting, number in numbers if number.bounds]
    without = (Setting.ZSL, True)  # it has no demonstrations that it could be conditional on
    conditional = {is_conditional for setting, is_conditional in bounded if (setting, is_conditional) != without}
    parts = ["over demonstration sets and queries"] * (False in conditional)
    if True in conditional:
        among = "some are " * (False in conditional)
        parts.append(f"{among}conditional on these demonstrations: over queries alone")
    if without in bounded:
        parts.append("that of ZSL over queries alone" if conditional else "over queries alone")
    return "; ".join(parts)
