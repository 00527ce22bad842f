"""How well everything predicts: mean squared errors, of networks also seed by seed."""

from collections.abc import Iterator
from dataclasses import replace

from demograd.study.synthetic.named import of_network, of_reference
from demograd.study.synthetic.paired import loss_row
from demograd.study.synthetic.regression.tested import Tested
from demograd.words import Row


def loss_rows(tested: Tested) -> Iterator[Row]:
    """`loss` of every reference and network."""
    for one in tested.references:
        yield replace(of_reference(one), metric="loss") | loss_row([tested.reference_losses[one.label]])
    for network, of_seeds in tested.losses.items():
        yield replace(of_network(network), metric="loss") | loss_row(of_seeds)
        for seed, loss in zip(tested.study.seeds, of_seeds, strict=True):
            yield replace(of_network(network), metric="loss", seed=seed) | loss_row([loss])
