"""Does FT change an attention head as the demonstrations would change it if attention were linear? (Dai 2023)

Linear attention over tokens i is a weight matrix, Σ v_i k_iᵀ, applied to the query. So demonstrations in the prompt add
ΔW_ICL = Σ_demonstrations v_i k_iᵀ to it, while FT, which turns keys and values k, v into k′, v′, adds
ΔW_FT = Σ_query (v′_i k′_iᵀ − v_i k_iᵀ). Keys are as cached, after rotary positions: observe ZSL and FT with the query's
tokens at the positions that they have in ICL (`align_positions`), or the two matrices stand in rotated frames.

One matrix per query, layer and key-value head is large: 4 · value_dim · key_dim bytes each.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.observations import cosine, extra, require_same_queries, resolution
from demograd.metrics.registry import metric
from demograd.observe.observation import Observation


@metric(
    "implicit update",
    source="from Dai 2023's derivation",
    group="implicit_update",
    table=None,
    per="head",
    extras={
        "ZSL": ("value_key_products",),
        "ICL": ("context_value_key_products",),
        "FT": ("value_key_products",),
    },
)
def implicit_update(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers kv_heads"]:
    """cos(Σ_demonstrations v kᵀ, Σ_query (v′k′ᵀ − v kᵀ)) per key head, ′ after fine-tuning.

    That is cos(ΔW_ICL, ΔW_FT), matrices taken as vectors. ZSL and FT are observed with `value_key_products`, ICL with
    `context_value_key_products`. All demonstration tokens count, also those that a sliding window hides. NaN (missing)
    where ΔW_FT is below the resolution of Σ_query v_i k_iᵀ.

    **Raises:** ValueError for observations that do not match, do not hold what is needed, or are not finite.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    w_zsl, w_ft = extra(zsl, "ZSL", "value_key_products"), extra(ft, "FT", "value_key_products")
    return _matrix_cosine(extra(icl, "ICL", "context_value_key_products").expand_as(w_zsl), w_zsl, w_ft, zsl.dtype)


@metric(
    "implicit update, weighted",
    source="from Dai 2023's derivation",
    group="implicit_update",
    table=None,
    per="head",
    extras={
        "ZSL": ("weighted_value_key_products",),
        "ICL": ("weighted_context_value_key_products",),
        "FT": ("weighted_value_key_products",),
    },
)
def implicit_update_weighted(
    zsl: Observation, icl: Observation, ft: Observation
) -> Float[Tensor, "queries layers kv_heads"]:
    """The implicit update with every term weighted by the attention that the last token pays it.

    ΔW_ICL = Σ_demonstrations a_i v_i k_iᵀ and ΔW_FT = Σ_query (a′_i v′_i k′_iᵀ − a_i v_i k_iᵀ), a_i being the attention
    probability that the last token gives token i. Each a comes from its own setting: ICL's probabilities (over the
    whole prompt), FT's, and ZSL's; they are averaged over the query heads that share a key-value head. With o = Σ a_i
    v_i the head's output and s the scaling, ∂o/∂q = s (Σ a_i v_i k_iᵀ − o (Σ a_i k_i)ᵀ): so the sum of all tokens'
    terms is, but for the second, centring one, the matrix by which softmax attention itself responds to the query, and
    each ΔW is some tokens' share in it. Tokens that a sliding window hides have no weight.

    ZSL and FT are observed with `weighted_value_key_products`, ICL with `weighted_context_value_key_products`. NaN
    (missing) and errors as in `implicit_update`; also where ICL gives the demonstrations no weight.
    """
    require_same_queries(ZSL=zsl, ICL=icl, FT=ft)
    w_zsl, w_ft = extra(zsl, "ZSL", "weighted_value_key_products"), extra(ft, "FT", "weighted_value_key_products")
    return _matrix_cosine(extra(icl, "ICL", "weighted_context_value_key_products"), w_zsl, w_ft, zsl.dtype)


@metric(
    "implicit update, validity",
    source="demograd",
    group="implicit_update",
    table=None,
    per="head",
    extras={
        "ZSL": ("head_outputs",),
        "ICL": ("head_outputs", "rotated_query_vectors", "context_value_key_products"),
    },
)
def implicit_update_validity(
    zsl: Observation, icl: Observation, ft: Observation | None
) -> Float[Tensor, "queries layers heads"]:
    """cos(ΔW_ICL q, true change of the head's output): below one half the linear dual form is not valid here.

    The change is o_ICL − o_ZSL, per query head: what the dual form predicts, and what the demonstrations did. q is
    ICL's query vector at the last token, after rotary positions; o the head's output there, before the output
    projection. ZSL is observed with `head_outputs`; ICL with these, `rotated_query_vectors` and
    `context_value_key_products`. `ft` is not used, and may be None; it is checked to be of the same queries. NaN
    (missing) where o_ICL − o_ZSL is below the resolution of o_ZSL.

    **Raises:** as `implicit_update`.
    """
    require_same_queries(ZSL=zsl, ICL=icl, **({} if ft is None else {"FT": ft}))
    o_zsl, o_icl = extra(zsl, "ZSL", "head_outputs"), extra(icl, "ICL", "head_outputs")
    update = extra(icl, "ICL", "context_value_key_products")
    heads, groups = o_icl.shape[2], update.shape[1]
    q = extra(icl, "ICL", "rotated_query_vectors").unflatten(-1, (groups, heads // groups, -1))
    predicted = torch.einsum("lgvk,qlgrk->qlgrv", update, q).flatten(2, 3)
    return cosine(predicted, o_icl - o_zsl, predicted, o_zsl, resolution(zsl.dtype))


def _matrix_cosine(
    update: Float[Tensor, "queries layers kv_heads value_dim key_dim"],
    w_zsl: Float[Tensor, "queries layers kv_heads value_dim key_dim"],
    w_ft: Float[Tensor, "queries layers kv_heads value_dim key_dim"],
    dtype: str,
) -> Float[Tensor, "queries layers kv_heads"]:
    icl, zsl, ft = (matrix.flatten(-2) for matrix in (update, w_zsl, w_ft))
    return cosine(icl, ft - zsl, icl, zsl, resolution(dtype))
