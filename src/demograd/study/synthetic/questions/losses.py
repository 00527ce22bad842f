"""How well networks and references predict: as trained, by depth, and between two sets of weights."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from demograd.study.synthetic.constructions import predicted
from demograd.study.synthetic.questions.preconditioners import is_one_linear_layer
from demograd.study.synthetic.questions.problems import Tested, losses_of
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import loss_row, of_network, of_reference
from demograd.study.synthetic.spec import Network
from demograd.synthetic import AttentionLayer, interpolated, preconditioned_layer
from demograd.words import Row, Setting


def loss_rows(tested: Tested) -> Iterator[Row]:
    """`loss` of every reference and network."""
    for reference in tested.references:
        yield replace(of_reference(reference), metric="loss") | loss_row([tested.reference_losses[reference.label]])
    for network, of_seeds in tested.losses.items():
        yield replace(of_network(network), metric="loss") | loss_row(of_seeds)
        for seed, loss in zip(tested.study.seeds, of_seeds, strict=True):
            yield replace(of_network(network), metric="loss", seed=seed) | loss_row([loss])


def by_layers_rows(tested: Tested) -> Iterator[Row]:
    """`loss_by_layers` of each family of several depths, and of the references that take as many steps."""
    families = {
        family: members
        for family, members in families_of(tested.losses, tested.study.networks).items()
        if len(members) > 1
    }
    for family, members in families.items():
        for layers, network in members.items():
            yield replace(of_network(family), metric="loss_by_layers", at=float(layers)) | loss_row(
                tested.losses[network]
            )
    for reference in tested.references if families else ():
        if reference.steps is not None:
            yield Row(
                setting=Setting.REFERENCE, method=reference.family, metric="loss_by_layers", at=float(reference.steps)
            ) | loss_row([tested.reference_losses[reference.label]])


def families_of(names: Iterable[str], networks: Mapping[str, Network]) -> dict[str, dict[int, str]]:
    """Family → number of layers → name of the network.

    Networks of other depths may be trained otherwise, for deep ones want lower learning rates. Where two have the same
    depth and differ in that alone, they are of different families.
    """
    names = list(names)
    twins = Counter((_family(networks[name]), networks[name].layers) for name in names)
    apart = {family for (family, _), number in twins.items() if number > 1}
    families: dict[str, dict[int, str]] = {}
    for name in names:
        family = _family(networks[name])
        if family in apart:
            family = ", ".join([family, *_how_trained(networks[name])])
        families.setdefault(family, {})[networks[name].layers] = name
    return families


def _family(network: Network) -> str:
    parts = [f"{network.attention} attention"]
    parts += ["shared weights"] if network.shared else []
    parts += [f"{network.heads} heads"] if network.heads > 1 else []
    parts += [f"MLP of {network.mlp}"] if network.mlp else []
    parts += [f"{network.features} features"] if network.features else []
    parts += ["GD steps"] if network.descent else []
    parts += ["plain sequences"] if network.positions else []
    parts += [f"{network.first} attention first"] if network.first else []
    parts += ["by inputs"] if network.by_inputs else []
    parts += [f"{network.extra} extra"] if network.extra else []
    parts += [f"{network.free} free"] if network.free != "all" else []
    parts += [f"within ±{network.bound:g}"] if network.bound else []
    return ", ".join(parts)


def _how_trained(network: Network) -> list[str]:
    own = {"initial_scale": network.initial_scale, **network.training.model_dump(exclude_none=True)}
    return [f"{name.replace('_', ' ')} {value:g}" for name, value in own.items()]


def gradient_descent_layer(tested: Tested, reference: Tuned) -> AttentionLayer:
    """The first step of a tuned descent as a layer, in the networks' dtype and on their device."""
    step = reference.tensors["preconditioners"][0].float().to(tested.study.device)
    return preconditioned_layer(step, tested.study.context)


def interpolation_rows(tested: Tested) -> Iterator[Row]:
    """`loss_interpolated` of each one-headed linear layer, at each of the study's mixes."""
    study = tested.study
    one_step = [reference for reference in tested.references if reference.kind == "GD" and reference.steps == 1]
    for network, transformers in tested.networks.items():
        if study.networks[network].heads > 1 or not is_one_linear_layer(study.networks[network]):
            continue
        for reference in one_step:
            gd = gradient_descent_layer(tested, reference)
            for mix in study.mixes:
                between = [
                    partial(predicted, [interpolated(transformer.layers()[0], gd, mix)], "linear")
                    for transformer in transformers
                ]
                yield replace(
                    of_network(network), method=reference.label, metric="loss_interpolated", at=mix
                ) | loss_row([losses_of(learner, tested.problems) for learner in between])
