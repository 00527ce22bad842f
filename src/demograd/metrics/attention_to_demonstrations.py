"""Do ICL and FT weigh the demonstrations' tokens alike? (Dai 2023, attention to training tokens)

Ranks are taken of the logarithms of the attention weights: the softmax keeps the order, but the smallest weights would
all be zero and tie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import kendalltau
from torch import Tensor

from demograd.metrics.observations import extra
from demograd.metrics.registry import COSINE, SHARE, metric
from demograd.observe.observation import Observation

TOP_TOKENS, TOP_DEMONSTRATIONS = 100, 5
"""How many of the most attended count for recall, in the released runs."""

Spans = Sequence[tuple[int, int]]
LogWeights = dict[Literal["token", "demonstration"], Tensor]
"""Each `[queries, layers, tokens or demonstrations]`."""


@dataclass(frozen=True, eq=False)
class AttentionAgreement:
    """How alike two ways of weighing the demonstrations are, by token and by demonstration."""

    kendall_by_token: Float[Tensor, "queries layers"]
    """Kendall's τ_b of the weights; NaN (missing) where there are fewer than two, or all are equal."""
    kendall_by_demonstration: Float[Tensor, "queries layers"]
    """A demonstration's weight is the sum of its tokens' weights."""
    recall_by_token: Float[Tensor, "queries layers"]
    """Share of FT's 100 most attended tokens among ICL's 100; NaN (missing) where there are no more than 100."""
    recall_by_demonstration: Float[Tensor, "queries layers"]
    """The same for 5 demonstrations."""


@metric(
    "Kendall's τ of attention to demonstrations, by token",
    name="attention_kendall_by_token",
    part="kendall_by_token",
    definition="Kendall's τ between ICL's and FT's weights, by token",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=COSINE,
    extras={"ICL": ("context_logits",), "FT": ("query_vectors",)},
)
@metric(
    "Kendall's τ of attention to demonstrations, by demonstration",
    name="attention_kendall_by_demonstration",
    part="kendall_by_demonstration",
    definition="Kendall's τ between ICL's and FT's weights, by demonstration",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=COSINE,
    extras={"ICL": ("context_logits",), "FT": ("query_vectors",)},
)
@metric(
    "top recall of attention to demonstrations, by token",
    name="attention_recall_by_token",
    part="recall_by_token",
    definition="Share of FT's 100 tokens (5 demonstrations) in ICL's, by token",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=SHARE,
    extras={"ICL": ("context_logits",), "FT": ("query_vectors",)},
)
@metric(
    "top recall of attention to demonstrations, by demonstration",
    name="attention_recall_by_demonstration",
    part="recall_by_demonstration",
    definition="Share of FT's 100 tokens (5 demonstrations) in ICL's, by demonstration",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=SHARE,
    extras={"ICL": ("context_logits",), "FT": ("query_vectors",)},
)
def attention_to_demonstrations(
    icl: Observation,
    ft: Observation,
    spans: Spans,
    training_queries: Sequence[Float[Tensor, "_tokens layers width"]],
    *,
    rotated: bool = False,
) -> AttentionAgreement:
    """Compare ICL's attention to the demonstrations with FT's.

    ICL: the last token's logits over the demonstrations' tokens, summed over heads, softmax. FT: inner products of the
    tuned model's query vector at the last token with the training tokens' query vectors, softmax. Logits are those
    before any mask, so a sliding window does not hide the tokens beyond it.

    Args:
        icl: observed with `context_logits`.
        ft: observed with `query_vectors`, or `rotated_query_vectors`.
        spans: `Prompts.demonstration_spans` of the ICL prompts.
        training_queries: of each demonstration, in the same order, its tokens' query vectors before its step's
            update, BOS first. BOS is left out: no demonstration has one in the prompt.
        rotated: take query vectors after rotary positions; the training queries must then be too.

    Raises:
        ValueError: something was not recorded, or is not finite, or the tokens of a demonstration and of its training
            sequence are not equally many.

    **Source:** Dai 2023, and `compute_training_example_attn.py` of its released runs.
    """
    lengths = _lengths(spans)
    trained = [queries.shape[0] - 1 for queries in training_queries]
    if trained != lengths:
        raise ValueError(
            f"demonstrations have {lengths} tokens in the prompt, their training sequences {trained} "
            f"without BOS; both must come from the same demonstrations in the same order"
        )
    name = "rotated_query_vectors" if rotated else "query_vectors"
    query = extra(ft, "FT", name)
    keys = torch.cat([queries[1:] for queries in training_queries]).double()
    inner_products = torch.einsum("qlw,tlw->qlt", query, keys)
    weights_icl, weights_ft = _log_weights(_icl_logits(icl, spans), lengths), _log_weights(inner_products, lengths)
    return AttentionAgreement(
        _kendall(weights_icl["token"], weights_ft["token"]),
        _kendall(weights_icl["demonstration"], weights_ft["demonstration"]),
        _recall(weights_icl["token"], weights_ft["token"], TOP_TOKENS),
        _recall(weights_icl["demonstration"], weights_ft["demonstration"], TOP_DEMONSTRATIONS),
    )


@metric(
    "Kendall's τ of attention to demonstrations, by token, random",
    name="random_attention_kendall_by_token",
    part="kendall_by_token",
    definition="Kendall's τ of attention to demonstrations, by token: ICL's against random weights",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=COSINE,
    extras={"ICL": ("context_logits",)},
    after="attention_kendall_by_token",
)
@metric(
    "Kendall's τ of attention to demonstrations, by demonstration, random",
    name="random_attention_kendall_by_demonstration",
    part="kendall_by_demonstration",
    definition="Kendall's τ of attention to demonstrations, by demonstration: ICL's against random weights",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=COSINE,
    extras={"ICL": ("context_logits",)},
    after="attention_kendall_by_demonstration",
)
@metric(
    "top recall of attention to demonstrations, by token, random",
    name="random_attention_recall_by_token",
    part="recall_by_token",
    definition="Top recall of attention to demonstrations, by token: ICL's against random weights",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=SHARE,
    extras={"ICL": ("context_logits",)},
    after="attention_recall_by_token",
)
@metric(
    "top recall of attention to demonstrations, by demonstration, random",
    name="random_attention_recall_by_demonstration",
    part="recall_by_demonstration",
    definition="Top recall of attention to demonstrations, by demonstration: ICL's against random weights",
    source="Dai 2023",
    group="attention_to_demonstrations",
    table=None,
    bounds=SHARE,
    extras={"ICL": ("context_logits",)},
    after="attention_recall_by_demonstration",
)
def random_attention_to_demonstrations(icl: Observation, spans: Spans, *, seed: int = 0) -> AttentionAgreement:
    """The baseline: ICL's attention against weights uniform in [0, 1), drawn anew for every query and layer.

    Demonstrations get weights of their own, not sums over tokens, as in the released runs. Those estimate the recall
    from tokens drawn with replacement; its expectation, k / n, is returned here.

    Raises:
        ValueError: ICL's context logits were not recorded, or are not finite.

    **Source:** Dai 2023.
    """
    lengths = _lengths(spans)
    random = np.random.RandomState(seed)
    weights = _log_weights(_icl_logits(icl, spans), lengths)
    kendalls = {
        level: _kendall(log_weights, torch.from_numpy(random.random_sample(tuple(log_weights.shape))))
        for level, log_weights in weights.items()
    }
    by_token = torch.full_like(kendalls["token"], _expected_recall(sum(lengths), TOP_TOKENS))
    by_demonstration = torch.full_like(by_token, _expected_recall(len(lengths), TOP_DEMONSTRATIONS))
    return AttentionAgreement(kendalls["token"], kendalls["demonstration"], by_token, by_demonstration)


def _lengths(spans: Spans) -> list[int]:
    if not spans:
        raise ValueError("there are no demonstrations; pass the demonstration_spans of the ICL prompts")
    return [end - start for start, end in spans]


def _icl_logits(icl: Observation, spans: Spans) -> Float[Tensor, "queries layers tokens"]:
    summed = extra(icl, "ICL", "context_logits").sum(dim=2)
    return torch.cat([summed[..., start:end] for start, end in spans], dim=-1)


def _log_weights(logits: Float[Tensor, "queries layers tokens"], lengths: list[int]) -> LogWeights:
    by_token = logits.log_softmax(dim=-1)
    parts = by_token.split(lengths, dim=-1)
    return {"token": by_token, "demonstration": torch.stack([part.logsumexp(dim=-1) for part in parts], dim=-1)}


def _kendall(a: Float[Tensor, "queries layers n"], b: Float[Tensor, "queries layers n"]) -> Tensor:
    if a.shape[-1] < 2:
        return torch.full(a.shape[:2], torch.nan)
    rows = zip(a.flatten(0, 1).numpy(), b.flatten(0, 1).numpy(), strict=True)
    taus = [kendalltau(x, y).statistic for x, y in rows]
    return torch.tensor(taus, dtype=torch.float32).reshape(a.shape[:2])


def _recall(icl: Float[Tensor, "queries layers n"], ft: Float[Tensor, "queries layers n"], k: int) -> Tensor:
    if icl.shape[-1] <= k:
        return torch.full(icl.shape[:2], torch.nan)
    is_top = torch.zeros_like(icl).scatter_(-1, icl.topk(k, dim=-1).indices, 1.0)
    return is_top.gather(-1, ft.topk(k, dim=-1).indices).mean(dim=-1).float()


def _expected_recall(n: int, k: int) -> float:
    """The recall of a random choice of k among n."""
    return k / n if n > k else float("nan")
