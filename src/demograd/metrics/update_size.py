"""How large the updates are: methods and learning rates are compared at equal size, not at equal learning rate."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.observations import attention_outputs, is_resolved, resolution
from demograd.metrics.registry import SIZE, metric
from demograd.observe.observation import Observation


@metric("update size", source="demograd", group="size", table="Size of the updates", bounds=SIZE)
def relative_update_size(zsl: Observation, other: Observation) -> Float[Tensor, "queries layers"]:
    """‖h − h_ZSL‖ / ‖h_ZSL‖ of ICL or FT.

    Also below resolution: it is what shows that. NaN (missing) where h_ZSL is zero.

    **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    h_zsl, h_other = attention_outputs(ZSL=zsl, other=other)
    size = h_zsl.norm(dim=-1)
    return torch.where(size > 0, (h_other - h_zsl).norm(dim=-1) / size, torch.nan).float()


@metric("‖u_FT‖ / ‖u_ICL‖", source="demograd", group="size", table="Size of the updates", bounds=SIZE)
def update_size_ratio(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """‖h_FT − h_ZSL‖ / ‖h_ICL − h_ZSL‖.

    NaN (missing) where ICL's update is below resolution; FT's may be.

    **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    ratio = (h_ft - h_zsl).norm(dim=-1) / (h_icl - h_zsl).norm(dim=-1)
    return torch.where(is_resolved(h_icl - h_zsl, h_zsl, resolution(zsl.dtype)), ratio, torch.nan).float()


def median_size_ratio(ratios: Sequence[Float[Tensor, "queries layers"]]) -> float:
    """The median over demonstration sets of a set's median of `update_size_ratio`, which is over queries and the layers
    that FT on it changes: a method may leave layers as they are, bit for bit, and other ones with each set (a task
    vector is put in where it does best). A set that changes none counts as zero; NaN (missing) where all are missing.
    """
    medians = []
    for ratio in ratios:
        is_changed = ((ratio != 0) & ~ratio.isnan()).any(dim=0)
        values = ratio[:, is_changed] if is_changed.any() else ratio
        medians.append(values.double().flatten().nanquantile(0.5) if values.numel() else torch.tensor(torch.nan))
    return torch.stack(medians).double().nanquantile(0.5).item() if medians else torch.nan
