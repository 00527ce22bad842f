"""The relaxed correspondence: does FT at some layer do what ICL does at another?"""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import attention_outputs
from demograd.metrics.resolution import is_resolved, resolution
from demograd.observe.observation import Observation


def layer_by_layer_sim_aou(
    zsl: Observation, icl: Observation, ft: Observation
) -> Float[Tensor, "queries icl_layers ft_layers"]:
    """cos(u_ICL(l), u_FT(l′)), u = h − h_ZSL, for every pair of layers; `sim_aou` is its diagonal.

    A low SimAOU leaves open that ICL descends a gradient at other layers than FT does: that would show off the
    diagonal. `scores.nanmean(dim=0)` is the map. NaN (missing) in the rows of layers where ICL's update is below
    resolution, and in the columns of those where FT's is.

    **Source:** Deutch 2024, footnote 1 and §7. **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    bound = resolution(zsl.dtype)
    u_icl, u_ft = _direction(h_icl - h_zsl, h_zsl, bound), _direction(h_ft - h_zsl, h_zsl, bound)
    return (u_icl @ u_ft.mT).float()


def _direction(
    u: Float[Tensor, "queries layers hidden"], scale: Float[Tensor, "queries layers hidden"], bound: float
) -> Float[Tensor, "queries layers hidden"]:
    """u / ‖u‖; NaN where u is below the resolution of `scale`."""
    return torch.where(is_resolved(u, scale, bound)[..., None], u / u.norm(dim=-1, keepdim=True), torch.nan)
