"""Which algorithm does a trained transformer follow? Agreement in predictions and in the linear rule behind them, and
what its tokens hold (Akyürek 2023)."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.rows import of_network, score_row
from demograd.synthetic import (
    Learner,
    Sequences,
    SmallTransformer,
    implicit_weights,
    infinite_if_undefined,
    probe_error,
    seeded,
    squared_error,
)
from demograd.words import Row

QUERIES = 4
"""Fresh queries on which a linear rule is fitted, times the number of inputs."""
FITTED = 4096
"""Problems that probes are fitted on, at most."""
NOT_NEGATIVE = (0.0, torch.inf)


def agreement_rows(tested: Tested) -> Iterator[Row]:
    """`squared_prediction_difference` and `implicit_weight_distance` of each network and reference, `linearity` of each
    network, and `probe_error` after `at` layers; nothing where the study does not ask."""
    if not tested.study.agreement:
        return
    fresh = _fresh(tested, 1, QUERIES * tested.problems.x.shape[-1], again=1)

    def rule(learner: Learner) -> tuple[Tensor, Tensor]:
        return implicit_weights(learner, tested.few, fresh.query_x)

    of_references = {reference.label: rule(reference.learner)[0] for reference in tested.references}
    for network, transformers in tested.networks.items():
        rules = [rule(transformer) for transformer in transformers]
        yield replace(of_network(network), metric="linearity") | score_row([r_squared.cpu() for _, r_squared in rules])
        for reference in tested.references:
            if not reference.suits(tested.study.networks[network]):
                continue
            pair = replace(of_network(network), method=reference.label)
            predicted = reference.learner(tested.few)
            differences = [
                infinite_if_undefined(squared_error(transformer(tested.few), predicted)).cpu()
                for transformer in transformers
            ]
            distances = [
                infinite_if_undefined(squared_error(weights, of_references[reference.label])).cpu()
                for weights, _ in rules
            ]
            yield replace(pair, metric="squared_prediction_difference") | score_row(differences, NOT_NEGATIVE)
            yield replace(pair, metric="implicit_weight_distance") | score_row(distances, NOT_NEGATIVE)
        yield from _probe_rows(tested, network, transformers)


def _probe_rows(tested: Tested, network: str, transformers: list[SmallTransformer]) -> Iterator[Row]:
    """Of the query's token, for the weights of least squares and for XᵀY."""
    fitted = _fresh(tested, min(FITTED, tested.study.tuning_sequences), tested.problems.context, again=2)
    both = fitted, tested.few
    tokens = [[_query_tokens(transformer, problems) for problems in both] for transformer in transformers]
    for name, target in TARGETS.items():
        fit_target, test_target = (target(problems)[:, None] for problems in both)
        for n in range(len(tokens[0][0])):
            scores = [probe_error(fit[n], fit_target, test[n], test_target).squeeze(1).cpu() for fit, test in tokens]
            row = replace(of_network(network), method=name, metric="probe_error", at=float(n))
            yield row | score_row(scores, NOT_NEGATIVE)


def _least_squares_weights(problems: Sequences) -> Tensor:
    return (torch.linalg.pinv(problems.x.double()) @ problems.y.double()).squeeze(-1)


def _moments(problems: Sequences) -> Tensor:
    return (problems.x.mT @ problems.y).squeeze(-1)


TARGETS = {"the weights of least squares": _least_squares_weights, "XᵀY": _moments}
"""What probes look for."""


def _query_tokens(transformer: SmallTransformer, problems: Sequences) -> list[Tensor]:
    """The query's token `[sequences, 1, width]` before the first layer and after each."""
    return [tokens[:, -1:] for tokens in (transformer.tokens(problems), *transformer.after_each_layer(problems))]


def _fresh(tested: Tested, sequences: int, context: int, *, again: int) -> Sequences:
    """Problems on which nothing was tuned or tested."""
    world = tested.study.world(tested.world)
    problems = world.draw(sequences, context, seeded("tuning", 0, tested.study.device, again=again))
    assert isinstance(problems, Sequences)
    return problems
