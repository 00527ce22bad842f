"""Random SimAOU: what ICL's update scores against an update that no learning made."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import attention_outputs
from demograd.metrics.mean_removed import mean_removed_cosine
from demograd.metrics.resolution import cosine, resolution
from demograd.observe.observation import Observation

RandomKind = Literal["uniform", "centred", "minus_zsl"]


def random_sim_aou(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0, kind: RandomKind = "uniform"
) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, r), r drawn anew for every query and layer.

    - `uniform`: r uniform in [0, 1)^D, which the released runs use. Not centred, so an update with a mean scores.
    - `centred`: r uniform in [−½, ½)^D.
    - `minus_zsl`: r − h_ZSL with r uniform in [0, 1)^D, as the paper's text says.

    `ft` is not used; it is accepted (and checked) so that every similarity is called in the same way. NaN (missing)
    where ICL's update is below resolution.

    **Source:** Dai 2023; Deutch 2024, §2.2. **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, *_ = attention_outputs(ZSL=zsl, ICL=icl, **({} if ft is None else {"FT": ft}))
    r = _random_update(h_zsl, seed, kind)
    return cosine(h_icl - h_zsl, r, h_zsl, r, resolution(zsl.dtype))


def random_sim_aou_mean_removed(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0, kind: RandomKind = "uniform"
) -> Float[Tensor, "queries layers"]:
    """`random_sim_aou` after each update's mean over queries is subtracted (see `mean_removed_cosine`)."""
    h_zsl, h_icl, *_ = attention_outputs(ZSL=zsl, ICL=icl, **({} if ft is None else {"FT": ft}))
    r = _random_update(h_zsl, seed, kind)
    return mean_removed_cosine(h_icl - h_zsl, r, h_zsl, r, resolution(zsl.dtype))


def _random_update(
    h_zsl: Float[Tensor, "queries layers hidden"], seed: int, kind: RandomKind
) -> Float[Tensor, "queries layers hidden"]:
    # NumPy's legacy generator, query by query: the released runs drew these very numbers, so a seed reproduces theirs.
    r = torch.from_numpy(np.random.RandomState(seed).random_sample(tuple(h_zsl.shape)))
    match kind:
        case "uniform":
            return r
        case "centred":
            return r - 0.5
        case "minus_zsl":
            return r - h_zsl
