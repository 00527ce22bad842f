"""Does the first layer of a network on plain sequences copy? What its tokens depend on, while it is trained."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.questions.training import on_the_way
from demograd.study.synthetic.rows import of_network, score_row
from demograd.study.synthetic.units import Trained
from demograd.synthetic import Sequences, SmallTransformer
from demograd.words import Row

SEQUENCES = 128
"""Test sequences of which tokens are differentiated."""
TOKENS = ("own token", "next token", "other tokens")
"""What an x's token after the first layer may depend on: its x, the y behind it, and the rest on average."""


def copying_rows(tested: Tested, networks: dict[str, dict[int, Trained]]) -> Iterator[Row]:
    """`copying_sensitivity` of each network on plain sequences, with the `step` after which it was."""
    problems = Sequences(*(tensor[:SEQUENCES] for tensor in vars(tested.problems).values()))
    for name, transformers in tested.networks.items():
        if not tested.study.networks[name].positions:
            continue
        steps = tested.study.training_of(name).steps
        for step, of_seeds in {**on_the_way(networks[name]), steps: transformers}.items():
            by_seed = [copying_sensitivity(network, problems) for network in of_seeds]
            for token, scores in zip(TOKENS, zip(*by_seed, strict=True), strict=True):
                row = replace(of_network(name), method=token, metric="copying_sensitivity", step=step)
                yield row | score_row(scores, (0.0, torch.inf))


def copying_sensitivity(
    network: SmallTransformer, problems: Sequences
) -> tuple[Float[Tensor, " sequences"], Float[Tensor, " sequences"], Float[Tensor, " sequences"]]:
    """‖∂(Σ t_j)/∂e_i‖ of the first layer's tokens t_j, averaged over the x among them, by the contents of token i.

    Contents are x and y without the position. **Source:** von Oswald 2023a, §4 (there all tokens are averaged over).
    """
    tokens, positions = network.tokens(problems).detach().requires_grad_(), network.architecture.positions
    total = torch.zeros(3, len(tokens), device=tokens.device)
    after = network.after_layer(tokens, 0)
    n_others = tokens.shape[1] - 3  # the query is no key
    for place in range(0, 2 * problems.context, 2):
        (slope,) = torch.autograd.grad(after[:, place].sum(), tokens, retain_graph=True)
        norms = slope[..., positions:].norm(dim=-1)
        own, following = norms[:, place], norms[:, place + 1]
        others = (norms.sum(dim=1) - own - following) / max(1, n_others)
        total = total + torch.stack([own, following, others])
    own, following, others = (total / problems.context).cpu()
    return own, following, others
