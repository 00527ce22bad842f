"""The weights of trained linear networks beside the theoretical ones, for heat maps (Ahn 2023, figures 4 and 5)."""

from typing import Any

from torch import Tensor

from demograd.study.synthetic.constructions import as_layers
from demograd.study.synthetic.questions.preconditioners import CLOSED_FORM, closed_form, is_one_linear_layer
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.spec import Network, SyntheticStudy
from demograd.study.synthetic.units import SyntheticCell, Trained
from demograd.synthetic import AttentionLayer, Descent, in_use, preconditioned_layer, products, scaled_like

BESIDE = ("preconditioned GD++", "preconditioned GD", "GD++", "GD")
"""The reference whose matrices stand beside a network's: the most general that the study has."""


def matrices(
    study: SyntheticStudy, references: dict[str, list[Tuned]], networks: dict[SyntheticCell, Trained]
) -> list[dict[str, Any]]:
    """KᵀQ and PV of every layer of each one-headed linear network of the first seed, scaled to be comparable."""
    heat_maps = []
    for cell, trained in networks.items():
        network, world = study.networks[cell.network], study.worlds[cell.world]
        if trained.network is None or cell.seed != study.seeds[0]:
            continue
        if world.kind == "system" or network.heads > 1 or not network.is_linear:
            continue
        layers = [layer.to(layer.key.cpu().double()) for layer in trained.network.layers()]
        theories = _theories(study, cell.world, network, references[cell.world])
        inputs = layers[0].key.shape[-1] - 1
        used = in_use(network.layers, inputs, shared=network.shared, by_inputs=network.by_inputs, free=network.free)
        for n, (layer, masks) in enumerate(zip(layers, used, strict=True)):
            beside = {name: theory[n] for name, theory in theories.items()}
            shown = scaled_like(layer, next(iter(beside.values()))) if beside else layer
            pairs = {name: _heat_maps(*products(theory_layer)) for name, theory_layer in beside.items()}
            for product, trained_matrix in _heat_maps(*products(shown)).items():
                heat_maps.append(
                    {
                        "world": cell.world,
                        "network": cell.network,
                        "seed": cell.seed,
                        "layer": n,
                        "what": product,
                        "trained": trained_matrix,
                        "theories": {name: maps[product] for name, maps in pairs.items()},
                        "in_use": _heat_maps(*(mask[None] for mask in masks))[product],
                    }
                )
    return heat_maps


def _theories(
    study: SyntheticStudy, world: str, network: Network, references: list[Tuned]
) -> dict[str, list[AttentionLayer]]:
    """By name: the optimum in closed form where there is one, then the most general reference that suits."""
    theories = {}
    best = closed_form(study, world)
    if best is not None and is_one_linear_layer(network):
        theories[CLOSED_FORM] = [preconditioned_layer(best, study.context)]
    suited = {
        reference.kind: reference
        for reference in references
        if isinstance(reference.learner, Descent) and reference.suits(network)
    }
    for kind in BESIDE:
        if kind in suited:
            layers = as_layers(suited[kind], study.world(world))
            assert layers is not None
            return theories | {suited[kind].label: layers}
    return theories


def _heat_maps(query_key: Tensor, moved: Tensor) -> dict[str, list[list[Any]]]:
    """By what a reader sees: KᵀQ, whose columns are what asks and whose rows are what is asked for, and PV."""
    return {"KᵀQ": query_key.mT[0].tolist(), "PV": moved[0].tolist()}
