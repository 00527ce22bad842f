"""Loss as a function of the number of layers: families of networks that differ in nothing else."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import loss_row
from demograd.study.synthetic.regression.tested import Tested
from demograd.study.synthetic.spec import Network
from demograd.words import Row, Setting


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
    for one in tested.references if families else ():
        if one.steps is not None:
            yield Row(
                setting=Setting.REFERENCE, method=one.family, metric="loss_by_layers", at=float(one.steps)
            ) | loss_row([tested.reference_losses[one.label]])


def families_of(names: Iterable[str], networks: Mapping[str, Network]) -> dict[str, dict[int, str]]:
    """Family → number of layers → name of the network.

    Networks of other depths may be trained otherwise, for deep ones want lower learning rates. Where two have the same
    depth and differ in that alone, they are of different families.
    """
    names = list(names)
    twins = Counter((_family(networks[name]), networks[name].layers) for name in names)
    apart = {family for (family, _), number in twins.items() if number > 1}
    found: dict[str, dict[int, str]] = {}
    for name in names:
        family = _family(networks[name])
        if family in apart:
            family = ", ".join([family, *_how_trained(networks[name])])
        found.setdefault(family, {})[networks[name].layers] = name
    return found


def _family(network: Network) -> str:
    parts = [f"{network.attention} attention"]
    parts += ["shared weights"] if network.shared else []
    parts += [f"{network.heads} heads"] if network.heads > 1 else []
    parts += [f"MLP of {network.mlp}"] if network.mlp else []
    parts += ["by inputs"] if network.by_inputs else []
    parts += [f"within ±{network.bound:g}"] if network.bound else []
    return ", ".join(parts)


def _how_trained(network: Network) -> list[str]:
    own = {"initial_scale": network.initial_scale, **network.training.model_dump(exclude_none=True)}
    return [f"{name.replace('_', ' ')} {value:g}" for name, value in own.items()]
