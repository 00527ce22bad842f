"""Where training begins. Weights of products of four matrices have poor optima besides good ones, and which of them
training ends in is settled early: so several beginnings can be tried, and told apart by their training loss alone."""

from dataclasses import replace
from math import inf

import torch

from demograd.synthetic.training import Training, TrainingDiverged, train
from demograd.synthetic.transformer import Architecture, SmallTransformer
from demograd.synthetic.worlds import LinearSystem, World

LAST = 10
"""One in so many steps of a trial counts: its last ones."""


def best_start(
    architecture: Architecture,
    width: int,
    world: World | LinearSystem,
    context: int,
    training: Training,
    seed: int,
    device: torch.device | str = "cpu",
) -> SmallTransformer:
    """A network as it is after the trial that went best; untrained where there is but one start, or all diverged.

    Trials draw the batches with which training itself begins: what goes on afterwards sees those once more.
    """
    networks = [SmallTransformer(architecture, width, seed, start).to(device) for start in range(training.starts)]
    trial = replace(training, steps=training.trial, warmup=training.warmup * training.trial // training.steps)

    def loss_after_trial(network: SmallTransformer) -> float:
        try:
            return float(train(network, world, context, trial, seed)[-max(1, training.trial // LAST) :].mean())
        except TrainingDiverged:
            return inf

    losses = [loss_after_trial(network) for network in networks] if training.starts > 1 else [inf]
    if min(losses) == inf:
        return SmallTransformer(architecture, width, seed).to(device)
    return networks[losses.index(min(losses))]
