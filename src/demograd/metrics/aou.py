"""SimAOU: do ICL and FT change a layer's attention output in the same direction?"""

from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import attention_outputs
from demograd.metrics.resolution import cosine, resolution
from demograd.observe.observation import Observation


def sim_aou(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, h_FT − h_ZSL).

    NaN (missing) where either update is below resolution.

    **Source:** Dai 2023 as corrected by Deutch 2024, §3.1. **Raises:** ValueError for observations that do not match,
    or that are not finite.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    return cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


def sim_aou_norm(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """cos(ĥ_ICL − ĥ_ZSL, ĥ_FT − ĥ_ZSL) with ĥ = h / ‖h‖.

    Biased: h_ZSL does not cancel, so that orthogonal updates of length √3 ‖h_ZSL‖, orthogonal to h_ZSL, score 1/4. NaN
    (missing) where an h is zero, or either normalised update is below resolution.

    **Source:** Dai 2023; Deutch 2024, §2.2 and §3.1. **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = map(normalised, attention_outputs(ZSL=zsl, ICL=icl, FT=ft))
    return cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


def normalised(h: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows hidden"]:
    """h / ‖h‖; NaN where h is zero."""
    return h / h.norm(dim=-1, keepdim=True)
