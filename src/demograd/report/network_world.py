"""The world that a synthetic run's first screen draws, and the words that a newcomer needs there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from demograd.report.network_answer import leading_subject
from demograd.report.networks import KINDS, by_subject
from demograd.report.run import ReportedRun
from demograd.words import Setting

ROWS, FEW = 5, 3
"""Networks and references together, and references, that fit on the screen; the others stand in the sections."""
_ALGORITHMS = {
    "GD": "gradient descent on the examples in context, the size of its steps tuned",
    "GD, rate per step": "GD with a step size of its own for each step",
    "preconditioned GD": "GD whose steps a matrix turns, which is tuned",
    "GD++": "GD that transforms the inputs too, step by step",
    "preconditioned GD++": "GD++ whose steps a matrix turns, which is tuned",
    "functional GD": "gradient descent on a function, by the kernel of attention",
    "functional GD, bandwidth": "functional GD whose kernel has the best width",
    "SGD": "one step of gradient descent per example, in their order",
    "ridge": "least squares with a penalty, which is tuned",
    "least squares": "the linear function that fits the examples best",
    "kernel regression": "the best prediction of who knows the world’s kernel",
    "Bayes": "the best possible prediction: it knows how the world draws examples",
    "mesa-optimiser": "gradient descent on the states so far",
    "regularised least squares": "the matrix that fits the states so far best, with a penalty",
}
"""Family of a reference → what it is, in a line."""


@dataclass(frozen=True)
class NetworkWorld:
    """A world of a synthetic run, and what of it is drawn."""

    name: str
    networks: tuple[str, ...]
    """The one that the answer is about first leads."""
    references: tuple[str, ...]
    """What the leading network is held against; the one that the answer is about first leads."""
    more: int
    """Networks and references that are not drawn."""
    is_alone: bool
    """Whether the run has no other world."""

    def titled(self, title: str) -> str:
        """The title, and the world where the run has several."""
        return title if self.is_alone else f"{title} In {self.name}."


def network_world(run: ReportedRun) -> NetworkWorld | None:
    """The world of the first finding, else of the first loss; None where no network has a loss there."""
    rows = run.networks_at_context
    losses = list(by_subject(rows, "loss"))
    lead = leading_subject(run) or next(iter(losses), None)
    networks = [subject.network for subject in losses if lead is not None and subject.world == lead.world]
    if lead is None or not networks:
        return None
    networks.sort(key=lambda network: network != lead.network)
    algorithms = [
        subject.reference for subject in by_subject(rows, "loss", Setting.REFERENCE) if subject.world == lead.world
    ]
    compared = {
        subject.reference
        for subject in by_subject(rows, "loss_ratio")
        if (subject.world, subject.network) == (lead.world, lead.network)
    }
    references = [reference for reference in algorithms if reference in compared] or algorithms
    references.sort(key=lambda reference: reference != lead.reference)
    drawn_references = tuple(references[:FEW])
    drawn_networks = tuple(networks[: ROWS - len(drawn_references)])
    return NetworkWorld(
        lead.world,
        drawn_networks,
        drawn_references,
        len(networks) + len(algorithms) - len(drawn_networks) - len(drawn_references),
        len({subject.world for subject in losses}) == 1,
    )


def words_of(run: ReportedRun, world: NetworkWorld) -> Iterator[tuple[str, str]]:
    """Word → what it means in a line: of the world, the networks and the algorithms that are drawn."""
    settings = run.study["worlds"].get(world.name) or {}
    if kind := KINDS.get(str(settings.get("kind"))):
        yield "world", f"where examples come from, here {kind}; drawn anew for each sequence"
    end = "each next state" if settings.get("kind") == "system" else "the y of the last x, the query"
    yield "network", f"{_architecture(run, world.networks[0])}, trained to predict {end}"
    for family in dict.fromkeys(map(_family, world.references)):
        if family in _ALGORITHMS:
            yield family, _ALGORITHMS[family]


def _architecture(run: ReportedRun, network: str) -> str:
    """`a transformer of 1 layer of linear attention`, as the study says of one; else what all are."""
    settings = (run.study.get("networks") or {}).get(network) or {}
    if not {"layers", "attention"} <= set(settings):
        return "a small transformer"
    layers = f"{settings['layers']} layer{'s' * (settings['layers'] != 1)}"
    return f"a transformer of {layers} of {settings['attention']} attention"


def _family(reference: str) -> str:
    """`GD++` of `GD++ (shared), 3 steps`."""
    return re.sub(r" \([^)]*\)|, \d+ steps?$", "", reference)
