"""How often the bound on a network's tokens is felt: a network whose tokens it clamps is no polynomial of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import score_row
from demograd.synthetic import Sequences, SmallTransformer, Trajectories
from demograd.words import Row


def clamped_rows(
    networks: Mapping[str, Sequence[SmallTransformer]], problems: Sequences | Trajectories
) -> Iterator[Row]:
    """`clamped_share` of each network that has a bound."""
    for name, there in networks.items():
        if there[0].architecture.bound is not None:
            shares = [clamped_share(each, problems) for each in there]
            yield replace(of_network(name), metric="clamped_share") | score_row(shares, (0.0, 1.0))


def clamped_share(network: SmallTransformer, problems: Sequences | Trajectories) -> Float[Tensor, " sequences"]:
    """Share of the tokens, over layers, of which a component lies at the bound."""
    bound = network.architecture.bound
    assert bound is not None
    clamped = [(tokens.abs() >= bound).any(dim=-1) for tokens in network.after_each_layer(problems)]
    return torch.cat(clamped, dim=1).double().mean(dim=1).cpu()
