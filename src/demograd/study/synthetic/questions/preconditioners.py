"""The preconditioner in a one-layer network's weights, and how far it is from the closed form (Ahn 2023, Theorem 1)."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.rows import claimed_seeds, of_network, seeds_row
from demograd.study.synthetic.spec import Network, SyntheticStudy
from demograd.synthetic import LinearRegression, best_preconditioner, effective_preconditioner
from demograd.words import Row

CLOSED_FORM = "closed form (Ahn 2023)"


def preconditioner_rows(tested: Tested) -> Iterator[Row]:
    """`preconditioner_distance` ‖A − A*‖ / ‖A*‖ of each one-layer linear network, where A* is known."""
    best = closed_form(tested.study, tested.world)
    for network, transformers in tested.networks.items():
        if best is not None and is_one_linear_layer(tested.study.networks[network]):
            preconditioners = [
                effective_preconditioner(transformer.layers()[0], tested.study.context).cpu().double()
                for transformer in transformers
            ]
            distances = [float((preconditioner - best).norm() / best.norm()) for preconditioner in preconditioners]
            row = replace(of_network(network), method=CLOSED_FORM, metric="preconditioner_distance")
            yield claimed_seeds(row | seeds_row(distances, (0.0, torch.inf)), distances)


def closed_form(study: SyntheticStudy, name: str) -> Tensor | None:
    """A* `[inputs, inputs]` of this world, float64; None where the theorem is not about such a world.

    It is about Gaussian x and w, and no noise.
    """
    world = study.world(name)
    if isinstance(world, LinearRegression) and world.inputs == "normal" and world.nonzero is None and not world.noise:
        return best_preconditioner(world.covariance(), study.context, world.task)
    return None


def is_one_linear_layer(network: Network) -> bool:
    """Whether a network is one layer of linear attention, and nothing else."""
    return network.layers == 1 and network.is_linear and not network.bound
