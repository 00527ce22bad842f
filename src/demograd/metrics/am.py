"""SimAM: do ICL and FT attend to the query's own tokens alike? Attention logits, per head.

A query of one token has rows of one component, whose cosine can only be −1 or 1; it is kept in the plain forms, which
define it, and missing in the centred ones, where nothing is left of the row.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.comparable import attention_rows
from demograd.metrics.resolution import cosine, resolution
from demograd.observe.observation import Observation


def sim_am(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """cos(m_ICL, m_FT). ZSL does not enter; it is checked to be of the same queries.

    NaN (missing) where a row is zero.

    **Source:** Dai 2023; Deutch 2024, §2.3. **Raises:** ValueError for observations that do not match, or that are not
    finite.
    """
    bound = resolution(zsl.dtype)
    return _per_query(zsl, icl, ft, lambda m_zsl, m_icl, m_ft: cosine(m_icl, m_ft, m_icl, m_ft, bound))


def sim_am_delta(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """SimAM_Δ: cos(m_ICL − m_ZSL, m_FT − m_ZSL).

    NaN (missing) where either update is below resolution, as at layer 0 of rotary models.

    **Source:** Deutch 2024, §3.2. **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _per_query(zsl, icl, ft, lambda m_zsl, m_icl, m_ft: update_cosine(m_zsl, m_icl, m_ft, bound))


def sim_am_centred(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """`sim_am` after each row's mean over tokens is subtracted: softmax ignores a constant, the cosine does not.

    NaN (missing) where a row is constant up to the resolution of its values. **Source:** ours. **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _per_query(
        zsl, icl, ft, lambda m_zsl, m_icl, m_ft: cosine(centred(m_icl), centred(m_ft), m_icl, m_ft, bound)
    )


def sim_am_delta_centred(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """`sim_am_delta` after each row's mean over tokens is subtracted.

    NaN (missing) where what is left of an update is below the resolution of the row itself, not of the centred row:
    rounding errors scale with the values that were recorded. **Source:** ours. **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _per_query(
        zsl,
        icl,
        ft,
        lambda m_zsl, m_icl, m_ft: cosine(centred(m_icl - m_zsl), centred(m_ft - m_zsl), m_zsl, m_zsl, bound),
    )


def update_cosine(
    m_zsl: Float[Tensor, "*rows tokens"],
    m: Float[Tensor, "*rows tokens"],
    n: Float[Tensor, "*rows tokens"],
    bound: float,
) -> Float[Tensor, "*rows"]:
    """cos(m − m_ZSL, n − m_ZSL); NaN (missing) where either update is below the resolution of m_ZSL."""
    return cosine(m - m_zsl, n - m_zsl, m_zsl, m_zsl, bound)


def centred(row: Float[Tensor, "*rows tokens"]) -> Float[Tensor, "*rows tokens"]:
    """The row minus its mean over tokens."""
    return row - row.mean(dim=-1, keepdim=True)


def _per_query(
    zsl: Observation, icl: Observation, ft: Observation, similarity: Callable[..., Float[Tensor, "layers heads"]]
) -> Float[Tensor, "queries layers heads"]:
    return torch.stack([similarity(*rows) for rows in attention_rows(ZSL=zsl, ICL=icl, FT=ft)])
