"""Linear probes of tokens: what can be read off them, layer by layer (von Oswald 2023b; Alain 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.sequences import Trajectories


def past_states(trajectories: Trajectories, ago: int) -> Float[Tensor, "sequences times state"]:
    """s_{t−ago} for each t; zero before there was any state."""
    s = trajectories.states
    return torch.cat([torch.zeros_like(s[:, :ago]), s[:, : s.shape[1] - ago]], dim=1)


def probe_error(
    tokens: Float[Tensor, "sequences times width"],
    target: Float[Tensor, "sequences times components"],
    fresh_tokens: Float[Tensor, "others times width"],
    fresh_target: Float[Tensor, "others times components"],
) -> Float[Tensor, "others times"]:
    """‖target − B token‖² over the mean of ‖target‖², on fresh sequences, with the B of each time that is best on the
    first ones: 0 where the target can be read off, 1 where a probe does no better than to say zero.

    Probes have no constant: tokens and targets of systems are symmetric about zero. Where the target is zero, so that
    there is nothing to read, NaN.
    """
    x, y = (values.double().transpose(0, 1) for values in (tokens, target))
    probes = torch.linalg.pinv(x.mT @ x, hermitian=True, rtol=1e-10) @ (x.mT @ y)
    left = fresh_target.double().transpose(0, 1) - fresh_tokens.double().transpose(0, 1) @ probes
    size = fresh_target.double().square().sum(dim=-1).mean(dim=0)
    return left.square().sum(dim=-1).mT / torch.where(size > 0, size, torch.nan)
