"""SimAM in all its forms, and α: do ICL and FT, or GD and LCGD, attend to the query's own tokens alike?

Attention logits, per head. A query of one token has rows of one component, whose cosine can only be −1 or 1; it stays
in the plain forms, which define it, and is missing in the centred ones, where nothing is left of the row.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.metrics.observations import attention_rows, cosine, resolution
from demograd.metrics.registry import metric
from demograd.observe.observation import Observation


@metric("SimAM", source="Dai 2023; Deutch 2024, §2.3", group="similarity", table="Attention logits", per="head")
def sim_am(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """cos(m_ICL, m_FT) per head, m being the last token's attention logits over the query.

    ZSL does not enter; it is checked to be of the same queries. NaN (missing) where a row is zero.

    **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    bound = resolution(zsl.dtype)
    return _by_rows(zsl, icl, ft, lambda own, m_zsl, m_icl, m_ft: cosine(m_icl, m_ft, m_icl, m_ft, bound))


@metric(
    "SimAM_Δ", source="Deutch 2024, §3.2", group="similarity", table="Attention logits", per="head", has_ceiling=True
)
def sim_am_delta(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """cos(m_ICL − m_ZSL, m_FT − m_ZSL) per head.

    NaN (missing) where either update is below resolution, as at layer 0 of rotary models.

    **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _by_rows(zsl, icl, ft, lambda own, m_zsl, m_icl, m_ft: _update_cosine(m_zsl, m_icl, m_ft, bound))


@metric("SimAM_centred", source="demograd", group="similarity", table="Attention logits", per="head")
def sim_am_centred(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """SimAM after each row's mean over tokens is subtracted: softmax ignores a constant.

    The cosine does not. NaN (missing) where a row is constant up to the resolution of its values.

    **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _by_rows(
        zsl,
        icl,
        ft,
        lambda own, m_zsl, m_icl, m_ft: cosine(_centred(m_icl, own), _centred(m_ft, own), m_icl, m_ft, bound),
    )


@metric(
    "SimAM_Δ_centred", source="demograd", group="similarity", table="Attention logits", per="head", has_ceiling=True
)
def sim_am_delta_centred(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers heads"]:
    """SimAM_Δ after each row's mean over tokens is subtracted.

    NaN (missing) where what is left of an update is below the resolution of the row itself, not of the centred row:
    rounding errors scale with the values that were recorded.

    **Raises:** as `sim_am`.
    """
    bound = resolution(zsl.dtype)
    return _by_rows(
        zsl,
        icl,
        ft,
        lambda own, m_zsl, m_icl, m_ft: cosine(
            _centred(m_icl - m_zsl, own), _centred(m_ft - m_zsl, own), m_zsl, m_zsl, bound
        ),
    )


@metric("α", source="Deutch 2024, §B.1", group="similarity", measure="alpha", table=None, per="head")
def alpha(zsl: Observation, gd: Observation, lcgd: Observation) -> Float[Tensor, "queries layers heads"]:
    """cos(m_LCGD − m_ZSL, m_GD − m_ZSL) per head: SimAM_Δ of two ways of fine-tuning.

    On the same demonstrations. The paper averages it over heads, queries and layers for each task (Figure 2, where it
    is 0.1 to 0.2). NaN (missing) where either update is below resolution.

    **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    bound, settings = resolution(zsl.dtype), attention_rows(ZSL=zsl, GD=gd, LCGD=lcgd)
    return torch.cat([_update_cosine(m_zsl, m_gd, m_lcgd, bound) for (m_zsl, m_gd, m_lcgd), _ in settings])


def _update_cosine(
    m_zsl: Float[Tensor, "*rows tokens"],
    m: Float[Tensor, "*rows tokens"],
    n: Float[Tensor, "*rows tokens"],
    bound: float,
) -> Float[Tensor, "*rows"]:
    """cos(m − m_ZSL, n − m_ZSL); NaN (missing) where either update is below the resolution of m_ZSL."""
    return cosine(m - m_zsl, n - m_zsl, m_zsl, m_zsl, bound)


def _centred(
    rows: Float[Tensor, "queries layers heads tokens"], own: Bool[Tensor, "queries 1 1 tokens"]
) -> Float[Tensor, "queries layers heads tokens"]:
    """Rows minus their means over a query's own tokens; zero behind these."""
    return torch.where(own, rows - rows.sum(dim=-1, keepdim=True) / own.sum(dim=-1, keepdim=True), 0.0)


def _by_rows(
    zsl: Observation,
    icl: Observation,
    ft: Observation,
    similarity: Callable[..., Float[Tensor, "some_queries layers heads"]],
) -> Float[Tensor, "queries layers heads"]:
    """`similarity` of the rows of all queries: it is given which tokens are a query's own, and each setting's rows."""
    return torch.cat([similarity(own, *rows) for rows, own in attention_rows(ZSL=zsl, ICL=icl, FT=ft)])
