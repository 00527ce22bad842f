"""How well networks and references predict away from where networks were trained and references tuned."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from demograd.study.synthetic.questions.problems import Problems, Tested, losses_of
from demograd.study.synthetic.rows import loss_row, of_network, of_reference
from demograd.synthetic import LinearRegression, Sequences
from demograd.words import Row

CHANGES = (
    ("loss_at_task_scale", "task_scale", "task_scales"),
    ("loss_at_noise", "noise", "noises"),
    ("loss_with_distractors", "distractors", "distractors"),
)
"""Metric, the setting of the world that differs, and the study's values of it."""


def elsewhere_rows(tested: Tested, problems: Problems) -> Iterator[Row]:
    """`loss_at_scale` with scale 1 among the scales, `loss` at each other context, and what `CHANGES` and laws give."""
    study = tested.study
    for scale in _scales(tested) if study.scales else ():
        for row in _everyone(tested, problems(scale=scale)):
            yield replace(row, metric="loss_at_scale", at=scale)
    for context in study.contexts:
        if context != study.context:
            yield from (replace(row, metric="loss", k=context) for row in _everyone(tested, problems(context)))
    yield from _changed_rows(tested, problems)
    yield from _law_rows(tested, problems)


def _scales(tested: Tested) -> list[float]:
    return sorted({1.0, *tested.study.scales})


def _changed_rows(tested: Tested, problems: Problems) -> Iterator[Row]:
    """The losses where one setting of the world differs, that of training among its values."""
    world = tested.study.world(tested.world)
    for metric, setting, values in CHANGES:
        others = getattr(tested.study, values)
        for value in sorted({getattr(world, setting), *others}) if others else ():
            for row in _everyone(tested, problems(**{setting: value})):
                yield replace(row, metric=metric, at=float(value))


def _law_rows(tested: Tested, problems: Problems) -> Iterator[Row]:
    """`loss_at_scale` on inputs of each other law, as large at scale 1 as those of training: `<world>, laplace inputs`.

    **Source:** von Oswald 2023a, whose code gives the examples of each problem one norm, which is not that of training.
    """
    world = tested.study.world(tested.world)
    for law in tested.study.laws:
        assert isinstance(world, LinearRegression)
        plain: dict[str, Any] = {"inputs": law, "half_width": 1.0, "spectrum": None, "rotation": None}
        as_large = world.root_mean_square / replace(world, **plain).root_mean_square
        for scale in _scales(tested):
            for row in _everyone(tested, problems(scale=scale * as_large, **plain)):
                yield replace(row, task=f"{tested.world}, {law} inputs", metric="loss_at_scale", at=scale)


def _everyone(tested: Tested, problems: Sequences) -> Iterator[Row]:
    for network, transformers in tested.networks.items():
        yield of_network(network) | loss_row([losses_of(transformer, problems) for transformer in transformers])
    for reference in tested.references:
        yield of_reference(reference) | loss_row([losses_of(reference.learner, problems)])
