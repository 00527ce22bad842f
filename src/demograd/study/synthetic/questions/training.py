"""Loss during training, and how often the bound on a network's tokens is felt."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics import over_seeds
from demograd.study.rows import number
from demograd.study.synthetic.rows import of_network, score_row
from demograd.study.synthetic.snapshots import spaced_steps
from demograd.study.synthetic.units import Trained
from demograd.synthetic import Sequences, SmallTransformer, Trajectories
from demograd.words import Row

POINTS = 60
"""Points of a curve, at most."""


def training_rows(networks: dict[str, dict[int, Trained]]) -> Iterator[Row]:
    """Per seed and over seeds, the mean loss since the last point; and which networks diverged."""
    for name, by_seed in networks.items():
        shared = of_network(name)
        curves = {seed: _curve(trained.losses) for seed, trained in by_seed.items() if trained.status == "ok"}
        for seed, trained in by_seed.items():
            if trained.status != "ok":
                yield replace(shared, metric="training_loss", seed=seed, status=trained.status, n_seeds=1)
        for seed, curve in curves.items():
            for step, loss in curve.items():
                yield replace(
                    shared,
                    metric="training_loss",
                    seed=seed,
                    step=step,
                    value=number(loss),
                    n=1,
                    n_missing=0,
                    n_seeds=1,
                )
        for step in next(iter(curves.values()), {}):
            over = over_seeds([curve[step] for curve in curves.values()])
            yield replace(
                shared,
                metric="training_loss",
                step=step,
                value=number(over.mean),
                std=over.std,
                n=over.n,
                n_missing=over.n_missing,
                n_seeds=over.n,
            )


def _curve(losses: Tensor) -> dict[int, float]:
    """Number of steps done → mean loss of the steps since the last such number; evenly spaced in its logarithm."""
    ends = spaced_steps(len(losses), POINTS)
    return {end: float(losses[begin:end].mean()) for begin, end in zip([0, *ends], ends, strict=False)}


def on_the_way(by_seed: Mapping[int, Trained]) -> dict[int, list[SmallTransformer]]:
    """Step of training → the network as it was then, of each seed; the steps that all seeds have."""
    snapshots = [trained.snapshots for trained in by_seed.values()]
    common_steps = set(snapshots[0]).intersection(*snapshots)  # as one of them may be of a run that kept other steps
    return {step: [of_seed[step] for of_seed in snapshots] for step in sorted(common_steps)}


def clamped_rows(
    networks: Mapping[str, Sequence[SmallTransformer]], problems: Sequences | Trajectories
) -> Iterator[Row]:
    """`clamped_share` of each network that has a bound."""
    for name, transformers in networks.items():
        if transformers[0].architecture.bound is not None:
            shares = [clamped_share(transformer, problems) for transformer in transformers]
            yield replace(of_network(name), metric="clamped_share") | score_row(shares, (0.0, 1.0))


def clamped_share(network: SmallTransformer, problems: Sequences | Trajectories) -> Float[Tensor, " sequences"]:
    """Share of the tokens, over layers, of which a component lies at the bound."""
    bound = network.architecture.bound
    assert bound is not None
    clamped = [(tokens.abs() >= bound).any(dim=-1) for tokens in network.after_each_layer(problems)]
    return torch.cat(clamped, dim=1).double().mean(dim=1).cpu()
