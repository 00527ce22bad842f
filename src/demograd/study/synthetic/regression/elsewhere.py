"""Outside the range of training: other scales of the inputs, other numbers of examples."""

from collections.abc import Iterator
from dataclasses import replace

from demograd.study.synthetic.named import of_network, of_reference
from demograd.study.synthetic.paired import loss_row
from demograd.study.synthetic.regression.tested import Problems, Tested, losses_of
from demograd.synthetic import Sequences
from demograd.words import Row


def elsewhere_rows(tested: Tested, problems: Problems) -> Iterator[Row]:
    """`loss_at_scale` with scale 1 among the scales, and `loss` at each other context."""
    study = tested.study
    for scale in sorted({1.0, *study.scales}) if study.scales else ():
        for row in _everyone(tested, problems(scale=scale)):
            yield replace(row, metric="loss_at_scale", at=scale)
    for context in study.contexts:
        if context != study.context:
            yield from (replace(row, metric="loss", k=context) for row in _everyone(tested, problems(context)))


def _everyone(tested: Tested, problems: Sequences) -> Iterator[Row]:
    for network, there in tested.networks.items():
        yield of_network(network) | loss_row([losses_of(each, problems) for each in there])
    for one in tested.references:
        yield of_reference(one) | loss_row([losses_of(one.learner, problems)])
