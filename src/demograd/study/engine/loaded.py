"""The network that this process works with. Jobs come network by network, so a worker loads each network once."""

from demograd.errors import UserError
from demograd.models import Model, Weights, load_model, without_final_norm
from demograd.study.cells import World
from demograd.study.schema import Study
from demograd.study.store.inputs import network_fingerprint

Network = tuple[str, Weights, int]
"""(model, weights, seed of the weights)"""
_held: dict[tuple[str | bool | float | None, ...], Model] = {}
"""At most one: what a worker has loaded last."""


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
    key = (*network, study.device, study.dtype, lost, study.bos, study.initializer_range)
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
    """Hold no network: others need the memory."""
    _held.clear()


def label(study: Study, network: Network) -> str:
    """Names a network in the provenance."""
    name, weights, seed = network
    state = weights if weights == "trained" else f"{weights}, seed {seed}"
    return state if len(study.models) == 1 else f"{name}, {state}"
