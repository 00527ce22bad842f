"""Losses on the way from a one-layer network's weights to those of GD's construction (von Oswald 2023a, figure 2)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from demograd.study.synthetic.as_layers import predicted
from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import loss_row
from demograd.study.synthetic.regression.preconditioners import is_one_linear_layer
from demograd.study.synthetic.regression.tested import Tested, losses_of
from demograd.synthetic import interpolated, preconditioned_layer
from demograd.words import Row


def interpolation_rows(tested: Tested) -> Iterator[Row]:
    """`loss_interpolated` of each one-headed linear layer, at each of the study's mixes."""
    study = tested.study
    one_step = [one for one in tested.references if one.kind == "GD" and one.steps == 1]
    for network, there in tested.networks.items():
        if study.networks[network].heads > 1 or not is_one_linear_layer(study.networks[network]):
            continue
        for one in one_step:
            gd = preconditioned_layer(one.tensors["preconditioners"][0].float().to(study.device), study.context)
            for mix in study.mixes:
                between = [partial(predicted, [interpolated(each.layers()[0], gd, mix)], "linear") for each in there]
                yield replace(of_network(network), method=one.label, metric="loss_interpolated", at=mix) | loss_row(
                    [losses_of(each, tested.problems) for each in between]
                )
