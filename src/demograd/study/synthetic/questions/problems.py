"""One world's networks and references on its test problems: what every question is about."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Generator, Tensor

from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import finished_networks, why_failed
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import Trained
from demograd.synthetic import Learner, Sequences, SmallTransformer, infinite_if_undefined, squared_error

FEW = 1024
"""How many test sequences sensitivities and order are looked at on: they cost more than a prediction."""


class Problems:
    """Draws a world's test problems: the same w and the same x, but for what is asked to differ, every time."""

    def __init__(self, study: SyntheticStudy, name: str, generator: Generator) -> None:
        self._study, self._world, self._generator = study, study.world(name), generator
        self._begin = generator.get_state()

    def __call__(self, context: int | None = None, scale: float = 1.0, **changes: Any) -> Sequences:
        """As many examples as networks were trained on, unless said otherwise; `changes` are settings of the world."""
        self._generator.set_state(self._begin)
        context = self._study.context if context is None else context
        world = replace(self._world, **changes)
        sequences = world.draw(self._study.test_sequences, context, self._generator, scale=scale)
        assert isinstance(sequences, Sequences)
        return sequences


@dataclass(frozen=True, eq=False)
class Tested:
    """A world's learners, and their losses."""

    study: SyntheticStudy
    world: str
    """Its name in the study."""
    problems: Sequences
    networks: dict[str, list[SmallTransformer]] = field(repr=False)
    """One per seed, in the order of the study's seeds; without those that diverged."""
    failed: dict[str, str]
    """Why the other networks are not there."""
    references: list[Tuned] = field(repr=False)
    losses: dict[str, list[Tensor]] = field(repr=False)
    """Losses of each network and seed `[sequences]`, as in `networks`."""
    reference_losses: dict[str, Tensor] = field(repr=False)
    """By label `[sequences]`."""

    @property
    def few(self) -> Sequences:
        """The first of the problems."""
        return Sequences(*(tensor[:FEW] for tensor in vars(self.problems).values()))


def tested(
    study: SyntheticStudy,
    world: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    problems: Sequences,
) -> Tested:
    """Networks and references on these problems: all of them at the same context, so that they can be paired."""
    transformers = finished_networks(networks)
    return Tested(
        study,
        world,
        problems,
        transformers,
        {name: status for name, by_seed in networks.items() if (status := why_failed(by_seed))},
        references,
        {name: [losses_of(transformer, problems) for transformer in by_seed] for name, by_seed in transformers.items()},
        {reference.label: losses_of(reference.learner, problems) for reference in references},
    )


def losses_of(learner: Learner, problems: Sequences) -> Tensor:
    """Squared errors `[sequences]`; infinite where the learner diverged."""
    return infinite_if_undefined(squared_error(learner(problems), problems.query_y)).cpu()
