"""Does the order of the examples matter? In float64, so that what does not depend on it is seen not to."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import torch
from torch import Generator, Tensor

from demograd.study.synthetic.constructions import as_layers, predicted, under_a_causal_mask
from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.rows import of_network, of_reference, score_row
from demograd.synthetic import (
    AttentionKind,
    AttentionLayer,
    Learner,
    Sequences,
    as_tokens,
    attended_causally,
    order_spread,
    predictions,
)
from demograd.words import Row, Setting


def order_rows(tested: Tested) -> Iterator[Row]:
    """`order_sensitivity_relative` over the study's number of orders; nothing where it has none."""
    if tested.study.orders is None:
        return
    context = tested.problems.context
    orders = [torch.randperm(context, generator=Generator().manual_seed(n)) for n in range(tested.study.orders)]
    problems = Sequences(*(tensor.double() for tensor in vars(tested.few).values()))

    def row(learners: list[Learner]) -> Row:
        spreads = [order_spread(learner, problems, orders).cpu() for learner in learners]
        return Row(metric="order_sensitivity_relative") | score_row(spreads, (0.0, torch.inf))

    for network, transformers in tested.networks.items():
        yield of_network(network) | row([deepcopy(transformer).double() for transformer in transformers])
    for reference in tested.references:
        yield of_reference(reference) | row([reference.learner])
        layers = as_layers(reference, tested.study.world(tested.world))
        if layers is not None:
            layers = [layer.to(problems.x) for layer in layers]
            for name, learner in constructions(layers, reference.attention or "linear", context).items():
                yield Row(setting=Setting.CONSTRUCTION, weights="constructed", method=f"{reference.label}{name}") | row(
                    [learner]
                )


def constructions(layers: list[AttentionLayer], kind: AttentionKind, context: int) -> dict[str, Learner]:
    """The layers as they are, and under the mask that decoders have: each token sees itself and those before it.

    Under that mask an example's own residual is that of a model which has seen the examples before it alone. So from
    two layers on a construction depends on the order, as language models do, and one layer does not.
    """
    causal = layers if kind == "softmax" else under_a_causal_mask(layers, context + 1)  # softmax is a mean either way
    return {"": partial(predicted, layers, kind), ", causal": partial(_predicted_causally, causal, kind)}


def _predicted_causally(layers: list[AttentionLayer], kind: AttentionKind, problems: Sequences) -> Tensor:
    tokens = as_tokens(problems)
    for layer in layers:
        tokens = attended_causally(tokens, layer, kind)
    return predictions(tokens, problems.y.shape[-1])
