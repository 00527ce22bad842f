"""What is measured of constructions themselves: that they hold, and how many of their weights are zero."""

from collections.abc import Iterator

import torch

from demograd.metrics import sparsity_ratio
from demograd.study.rows import Row, number
from demograd.study.synthetic.schema import SyntheticStudy
from demograd.study.synthetic.trained import Trained
from demograd.synthetic import (
    CONSTRUCTIONS,
    AttentionLayer,
    LinearSystem,
    World,
    gradient_descent_layers,
    mesa_layers,
)

THRESHOLDS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
"""Those of a language model's sparsity (Shen 2023, figure 2)."""


def construction_rows(study: SyntheticStudy) -> Iterator[Row]:
    """The largest error of each construction over random instances of random sizes, in float64."""
    for name, construction in CONSTRUCTIONS.items():
        worst = float(torch.tensor([construction.error(seed) for seed in range(study.instances)]).max())
        yield {"setting": "construction", "weights": "constructed", "method": name, "metric": "construction_error",
               "dtype": "float64", "value": number(worst), "n": study.instances, "n_missing": 0}  # fmt: skip


def sparsity_rows(
    study: SyntheticStudy, world: World | LinearSystem, networks: dict[str, dict[int, Trained]]
) -> Iterator[Row]:
    """Shares of nearly zero weights: of the trained networks, and of a construction as wide (GD from any W₀)."""
    if isinstance(world, LinearSystem):
        built = mesa_layers([1.0], [1.0], world.dimension)
    else:
        built = gradient_descent_layers([1.0], study.context, torch.ones(1, world.dimension, dtype=torch.float64))
    for row in _by_layer([built]):
        yield {"model": "construction", "weights": "constructed", **row}
    for name, by_seed in networks.items():
        there = [one.network.layers() for one in by_seed.values() if one.network is not None]
        if len(there) == len(by_seed):
            yield from ({"model": name, "weights": "trained", **row} for row in _by_layer(there))


def _by_layer(networks: list[list[AttentionLayer]]) -> Iterator[Row]:
    """Means over networks: over all layers, and of each."""
    ratios = torch.stack([
        sparsity_ratio({n: layer.matrices() for n, layer in enumerate(layers)}, THRESHOLDS) for layers in networks
    ]).mean(dim=0)  # fmt: skip
    shared: Row = {"metric": "sparsity_ratio", "n": len(networks), "n_missing": 0}
    for at, column in zip(THRESHOLDS, ratios.T, strict=True):
        yield {**shared, "at": at, "value": number(float(column.mean()))}
        for layer, value in enumerate(column.tolist()):
            yield {**shared, "at": at, "layer": layer, "value": number(value)}
