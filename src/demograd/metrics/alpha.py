"""α: do layer-causal and ordinary gradient descent change attention alike?"""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.am import update_cosine
from demograd.metrics.comparable import attention_rows
from demograd.metrics.resolution import resolution
from demograd.observe.observation import Observation


def alpha(zsl: Observation, gd: Observation, lcgd: Observation) -> Float[Tensor, "queries layers heads"]:
    """α = cos(m_LCGD − m_ZSL, m_GD − m_ZSL): `sim_am_delta` of two ways of fine-tuning on the same demonstrations.

    The paper averages it over heads, queries and layers for each task (Figure 2, where it is 0.1 to 0.2). NaN (missing)
    where either update is below resolution.

    **Source:** Deutch 2024, §B.1. **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    bound, rows = resolution(zsl.dtype), attention_rows(ZSL=zsl, GD=gd, LCGD=lcgd)
    return torch.stack([update_cosine(m_zsl, m_gd, m_lcgd, bound) for m_zsl, m_gd, m_lcgd in rows])
