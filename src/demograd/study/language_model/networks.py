"""The networks of a study: the one that this process works with, and what is measured on a network alone."""

from collections.abc import Iterator

import torch

from demograd.errors import UserError
from demograd.metrics import parameter_distance, sparsity_ratio
from demograd.models import Model, Weights, load_model, without_final_norm
from demograd.study.language_model.grid import World
from demograd.study.language_model.keys import network_fingerprint
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import CellRecord

THRESHOLDS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
"""Magnitudes under which a weight counts as zero (Shen 2023, figure 2, varies them)."""
Network = tuple[str, Weights, int]
"""(model, weights, seed of the weights)"""
_held: dict[tuple[str | bool | float | None, ...], Model] = {}
"""At most one: what a worker has loaded last. Units come network by network, so a worker loads each network once."""


def network_of(world: World) -> Network:
    """The network that a world is about."""
    return world.model, world.weights, world.initialisation


def loaded(study: Study, network: Network, fingerprint: str | None = None) -> Model:
    """A study's network: the one that is there, or a new one in its place.

    Raises:
        UserError: it cannot be loaded, or its pretrained weights are not those with this fingerprint.
    """
    name, weights, seed = network
    lost = study.final_norm_lost and weights != "trained"
    key = (*network, study.device, study.dtype, lost, study.bos, study.initializer_range, study.drawn_as)
    if key not in _held or fingerprint not in (None, network_fingerprint(_held[key])):  # held from before a change
        let_go()  # before loading, so that two are never in memory
        model = load_model(
            name,
            weights=weights,
            seed=seed,
            device=study.device,
            dtype=study.dtype,
            bos=study.bos,
            initializer_range=study.initializer_range,
            drawn_as=study.drawn_as,
        )
        _held[key] = without_final_norm(model) if lost else model
    if fingerprint not in (None, network_fingerprint(_held[key])):  # its cells would be kept under another's name
        raise UserError(
            f"The model {name} is not the one that this run began with",
            "files that stay as they are",
            "Run the same command again",
        )
    return _held[key]


def let_go() -> None:
    """Free the network that is held: others need the memory."""
    _held.clear()


def label(study: Study, network: Network) -> str:
    """Names a network in the provenance."""
    name, weights, seed = network
    state = weights if weights == "trained" else f"{weights}, seed {seed}"
    return state if len(study.models) == 1 else f"{name}, {state}"


def measure_network(study: Study, measure: str, model: Model) -> CellRecord:
    """A measure of a network alone (Shen 2023, figures 2 and 3).

    `sparsity`: [layers, thresholds] over the query, key, value and output matrices; `training_time`: the distance to
    the last checkpoint [layers].
    """
    if measure == "sparsity":
        ratios = sparsity_ratio(_attention_matrices(model), THRESHOLDS)
        return CellRecord({"sparsity_ratio": ratios}, {"thresholds": list(THRESHOLDS)})
    last = load_model(study.models[-1], device=study.device, dtype=study.dtype)
    distances = parameter_distance(_by_layer(model), _by_layer(last))
    return CellRecord({"parameter_distance": torch.tensor(list(distances.values()))}, {})


def _by_layer(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    for layer, block in enumerate(model.anatomy.blocks):
        yield from ((str(layer), parameter) for parameter in block.parameters())


def _attention_matrices(model: Model) -> dict[int, list[torch.Tensor]]:
    """Per layer, all matrices (not biases or norms) of the attention module, fused ones as they are."""
    return {
        layer: [parameter for parameter in attention.parameters() if parameter.dim() == 2]
        for layer, attention in enumerate(model.anatomy.attentions)
    }
