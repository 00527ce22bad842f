"""What can be read off the tokens of networks in linear systems, layer by layer (von Oswald 2023b)."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from demograd.study.synthetic.questions.training import on_the_way
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import finished_networks, of_network, score_row
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import Trained
from demograd.synthetic import (
    SmallTransformer,
    Trajectories,
    past_states,
    preconditioned_inputs,
    probe_error,
    seeded,
)
from demograd.synthetic.constructions import system_tokens
from demograd.words import Row

PAST = (1, 2, 3)
"""How long ago the states were that are probed for."""
FITTED, TESTED = 4096, 1024
"""Trajectories that probes are fitted on and tested on, at most."""


def probe_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    trajectories: Trajectories,
) -> Iterator[Row]:
    """`probe_error` of each network after `at` layers (0: of the tokens that go in), and the same after the first step
    of training, as the measure of what layers pass on that have learned nothing.

    Means over the times at which more states have been seen than a system has dimensions, and there is what is sought.
    """
    world = study.world(name)
    again = seeded("tuning", 0, study.device, again=1)  # trajectories on which no reference was tuned
    fitted = world.draw(min(FITTED, study.tuning_sequences), study.context, again)
    assert isinstance(fitted, Trajectories)
    tested = Trajectories(trajectories.states[:TESTED])
    of_fitted, of_tested = _targets(fitted, references), _targets(tested, references)
    since = world.dimension
    for network, transformers in finished_networks(networks).items():
        on_way = on_the_way(networks[network])
        states: dict[int | None, list[SmallTransformer]] = {min(on_way): on_way[min(on_way)]} if on_way else {}
        for step, of_seeds in {**states, None: transformers}.items():
            tokens = [_tokens(transformer, fitted, tested) for transformer in of_seeds]
            for target, fit_target in of_fitted.items():
                for layer in range(len(tokens[0])):
                    scores = [
                        probe_error(of_seed[layer][0], fit_target, of_seed[layer][1], of_tested[target])[:, since:]
                        for of_seed in tokens
                    ]
                    row = replace(of_network(network), method=target, metric="probe_error", at=float(layer), step=step)
                    yield row | score_row([score.nanmean(dim=1).cpu() for score in scores], (0.0, torch.inf))


def _targets(trajectories: Trajectories, references: list[Tuned]) -> dict[str, Tensor]:
    """Name → what probes look for `[sequences, times, state]`; preconditioned by the λ of the study's least squares."""
    targets = {f"the state {ago} before": past_states(trajectories, ago) for ago in PAST}
    for reference in references:
        if reference.kind == "regularised least squares":
            penalty = float(reference.tensors["penalty"])
            targets["preconditioned inputs"] = preconditioned_inputs(trajectories, penalty)
    return targets


def _tokens(transformer: SmallTransformer, *trajectories: Trajectories) -> list[tuple[Tensor, ...]]:
    """Tokens before the first layer and after each, of each set of trajectories."""
    return list(
        zip(
            *([system_tokens(of_set.states), *transformer.after_each_layer(of_set)] for of_set in trajectories),
            strict=True,
        )
    )
