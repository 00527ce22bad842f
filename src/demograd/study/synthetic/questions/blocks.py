"""How far the matrices of linear layers are from those of the theorem, over training (Ahn 2023, figure 3)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from demograd.study.rows import number
from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.questions.training import on_the_way
from demograd.study.synthetic.rows import claimed_seeds, of_network, of_reference, seeds_row
from demograd.study.synthetic.spec import Network
from demograd.study.synthetic.units import Trained
from demograd.synthetic import (
    Descent,
    LinearRegression,
    LinearSystem,
    SmallTransformer,
    World,
    distance_from_multiples,
    learned_blocks,
)
from demograd.words import Row

METRIC = "multiple_distance"
A, B = "A to Σ⁻¹", "B to I"
"""What is held against which matrix, as `method` says it."""


def block_rows(tested: Tested, networks: dict[str, dict[int, Trained]]) -> Iterator[Row]:
    """`multiple_distance` of each network of one-headed linear layers, where the theorem says what A and B are.

    After each step that has a snapshot and at the end, the mean over layers; at the end that of each layer too. The
    last layer's B changes no prediction, and is left out. Beside them stand the matrices of tuned preconditioned
    descents: what networks are on their way to.
    """
    precision = precision_of(tested.study.world(tested.world))
    if precision is None:
        return
    for name, transformers in tested.networks.items():
        network = tested.study.networks[name]
        if network.heads > 1 or not network.is_linear:
            continue
        states: dict[int | None, list[SmallTransformer]] = {None: transformers}
        states[tested.study.training_of(name).steps] = transformers
        states.update(on_the_way(networks[name]).items())
        for step, of_seeds in states.items():
            by_layer = [_distances(network, transformer, precision) for transformer in of_seeds]
            for method in by_layer[0]:
                of_method = [distances[method] for distances in by_layer]
                row = replace(of_network(name), method=method, metric=METRIC, step=step)
                means = [float(torch.tensor(of_seed).mean()) for of_seed in of_method]
                over = row | seeds_row(means, (0.0, 1.0))
                yield over if step is not None else claimed_seeds(over, means)
                for layer in range(len(of_method[0])) if step is None else ():
                    yield replace(row, layer=layer) | seeds_row([of_seed[layer] for of_seed in of_method], (0.0, 1.0))
    for reference in tested.references:
        descent = reference.learner
        if isinstance(descent, Descent) and reference.kind.startswith("preconditioned"):
            blocks = {A: [distance_from_multiples(a, precision) for a in descent.preconditioners]}
            if reference.kind.endswith("++") and len(descent.curvature) > 1:
                blocks[B] = [distance_from_multiples(b) for b in descent.curvature[:-1]]
            for method, distances in blocks.items():
                mean = number(float(torch.tensor(distances).mean()))
                row = replace(of_reference(reference), method=f"{reference.label}, {method}", metric=METRIC)
                yield replace(row, value=mean, n=1, n_missing=0)


def precision_of(world: World | LinearSystem) -> Tensor | None:
    """Σ⁻¹ `[inputs, inputs]`, float64; None for a world that Theorems 3 and 4 are not about: theirs have
    x ~ N(0, Σ), w ~ N(0, Σ⁻¹) and no noise."""
    if not isinstance(world, LinearRegression) or world.inputs != "normal" or world.nonzero is not None or world.noise:
        return None
    if world.spectrum is not None and world.task != "inverse":
        return None
    return torch.linalg.inv(world.covariance())


def _distances(network: Network, transformer: SmallTransformer, precision: Tensor) -> dict[str, Sequence[float]]:
    """By method, of each different layer."""
    n_different = 1 if network.shared else network.layers
    blocks = [learned_blocks(layer.to(precision)) for layer in transformer.layers()[:n_different]]
    distances: dict[str, Sequence[float]] = {A: [distance_from_multiples(a, precision) for a, _ in blocks]}
    has_b = blocks if network.shared and network.layers > 1 else blocks[:-1]
    if has_b and network.free != "A":
        distances[B] = [distance_from_multiples(b) for _, b in has_b]
    return distances
