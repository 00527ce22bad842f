"""Facts about how alike ICL and FT weigh the demonstrations."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from demograd.metrics import attention_to_demonstrations, random_attention_to_demonstrations
from demograd.models import Model
from demograd.observe import AttentionCall, Observation, attention_routed, observe, query_vectors
from demograd.observe.attention import causal_attention
from demograd.tasks.prompts import Prompts

from .conftest import Make

BOS_AND_SEPARATORS = 50.0
"""Logits of BOS and separators, so large that attention to them would outweigh all else."""


def settings(
    observation: Make, icl: Sequence[float], ft: Sequence[float], lengths: Sequence[int]
) -> tuple[Observation, Observation, list[tuple[int, int]], list[Tensor]]:
    """ICL, FT, spans and training products for one query and one layer.

    The arguments are attention weights of each demonstration token in ICL and in FT, up to a factor.
    """
    context, spans, training = [BOS_AND_SEPARATORS], [], []
    for length in lengths:
        start, before = len(context), sum(end - begin for begin, end in spans)
        context += [*torch.tensor(icl[before : before + length]).log().tolist(), BOS_AND_SEPARATORS]
        spans.append((start, start + length))
        of_tokens = torch.tensor([BOS_AND_SEPARATORS, *torch.tensor(ft[before : before + length]).log()])
        training.append(torch.stack([of_tokens, torch.full_like(of_tokens, 9.0)], dim=-1)[:, None])
    row = torch.tensor(context)
    heads = torch.stack([row + 3, torch.full_like(row, -1.0), -torch.ones_like(row)])  # only their sum counts
    base = observation(queries=1, outputs=torch.ones(1, 1, 8))
    # the query's vector (1, 0): its inner products are the training tokens' first components
    query = torch.tensor([[[1.0, 0.0]]])
    return (
        dataclasses.replace(base, context_logits=heads[None, None]),
        dataclasses.replace(base, query_vectors=query, rotated_query_vectors=-query),
        spans,
        training,
    )


def test_kendall_by_hand(observation: Make) -> None:
    """Three of ten pairs of tokens are reversed. The demonstrations weigh .2 .3 .5 and .3 .45 .25: two of three."""
    arguments = settings(observation, [0.05, 0.15, 0.3, 0.24, 0.26], [0.1, 0.2, 0.45, 0.14, 0.11], (2, 1, 2))
    agreement = attention_to_demonstrations(*arguments)
    assert agreement.kendall_by_token.item() == pytest.approx(0.4)
    assert agreement.kendall_by_demonstration.item() == pytest.approx(-1 / 3)
    assert agreement.recall_by_token.isnan().all()
    assert agreement.recall_by_demonstration.isnan().all()


def test_tied_weights_count_half_a_pair_as_in_tau_b(observation: Make) -> None:
    """Pairs of (1, 1, 2) and (1, 2, 3): two agree, one is tied in ICL; τ_b = 2 / √(2 · 3)."""
    agreement = attention_to_demonstrations(*settings(observation, [1, 1, 2], [1, 2, 3], (1, 1, 1)))
    assert agreement.kendall_by_token.item() == pytest.approx(2 / 6**0.5)


def test_recall_of_the_five_most_attended_demonstrations_by_hand(observation: Make) -> None:
    """ICL attends most to the third to seventh; FT to the first two and the last three: three in common."""
    arguments = settings(observation, [1, 2, 3, 4, 5, 6, 7], [9, 8, 1, 2, 5, 6, 7], [1] * 7)
    agreement = attention_to_demonstrations(*arguments)
    assert agreement.recall_by_demonstration.item() == pytest.approx(3 / 5)
    assert agreement.recall_by_token.isnan().all()
    five = attention_to_demonstrations(*settings(observation, [1, 2, 3, 4, 5], [9, 8, 1, 2, 5], [1] * 5))
    assert five.recall_by_demonstration.isnan().all()


def test_recall_of_the_hundred_most_attended_tokens_by_hand(observation: Make) -> None:
    """The middle 70 of 130 tokens in opposite orders are in both hundreds."""
    rising = [1.0 + token for token in range(130)]
    arguments = settings(observation, rising, rising[::-1], [65, 65])
    agreement = attention_to_demonstrations(*arguments)
    assert agreement.recall_by_token.item() == pytest.approx(0.7)
    assert agreement.kendall_by_token.item() == pytest.approx(-1)
    random = random_attention_to_demonstrations(arguments[0], arguments[2])
    assert random.recall_by_token.item() == pytest.approx(100 / 130)
    assert random.recall_by_demonstration.isnan().all()


def test_weights_too_small_for_a_float_still_have_an_order(observation: Make) -> None:
    """exp(−2000) is zero; three of four weights would tie, and τ would be missing or wrong."""
    icl, ft, spans, training = settings(observation, [1, 1, 1, 1], [1, 1, 1, 1], (2, 2))
    logits = torch.tensor([0.0, -4000, -3000, 0, -2000, 0, 0])
    icl = dataclasses.replace(icl, context_logits=logits.expand(1, 1, 3, -1) / 3)
    products = torch.tensor([[0.0, -2000, -4000], [0, -3000, 0]])  # BOS first
    training = [torch.stack([row, row], dim=-1)[:, None] for row in products]
    agreement = attention_to_demonstrations(icl, ft, spans, training)
    assert agreement.kendall_by_token.item() == pytest.approx(1 / 3)  # (−4, −3, −2, 0) and (−2, −4, −3, 0): two turned


def test_one_demonstration_has_no_order(observation: Make) -> None:
    agreement = attention_to_demonstrations(*settings(observation, [1, 2, 3], [1, 2, 3], (3,)))
    assert agreement.kendall_by_demonstration.isnan().all()
    assert agreement.kendall_by_token.item() == pytest.approx(1)


def test_random_weights_agree_with_none_by_as_much_as_chance_allows(observation: Make) -> None:
    """τ of five independent weights has mean 0 and variance 2(2n + 5) / 9n(n − 1) = 1/6."""
    icl, spans = observation(queries=400), [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]
    icl = dataclasses.replace(icl, context_logits=torch.arange(11.0).expand(400, 2, 3, -1))
    random = random_attention_to_demonstrations(icl, spans)
    for kendall in (random.kendall_by_token, random.kendall_by_demonstration):
        assert kendall.shape == (400, 2)
        assert abs(kendall.mean().item()) < 3 * (1 / 6 / 800) ** 0.5
        assert kendall.var().item() == pytest.approx(1 / 6, rel=0.15)
    again = random_attention_to_demonstrations(icl, spans, seed=1)
    assert not torch.equal(again.kendall_by_token, random.kendall_by_token)


def test_demonstrations_and_training_sequences_of_other_lengths_are_refused(observation: Make) -> None:
    icl, ft, spans, training = settings(observation, [1, 2, 3], [1, 2, 3], (1, 2))
    with pytest.raises(ValueError, match=r"\[1, 2\] tokens in the prompt.*\[2, 1\]"):
        attention_to_demonstrations(icl, ft, spans, training[::-1])
    with pytest.raises(ValueError, match="no demonstrations"):
        attention_to_demonstrations(icl, ft, [], [])
    with pytest.raises(ValueError, match="ICL was observed without context_logits"):
        attention_to_demonstrations(ft, ft, spans, training)
    with pytest.raises(ValueError, match="FT was observed without query_vectors"):
        attention_to_demonstrations(icl, icl, spans, training)
    broken = dataclasses.replace(ft, query_vectors=torch.full((1, 1, 2), torch.inf))
    with pytest.raises(ValueError, match="FT: query_vectors are not finite"):
        attention_to_demonstrations(icl, broken, spans, training)


@torch.no_grad()
def test_a_query_that_stands_among_the_demonstrations_is_found_by_inner_products(
    random_model: Callable[..., Model],
) -> None:
    """Before rotary positions, a token's query vector at layer 0 depends on the token alone.

    The inner product of the query's last token and the same token in the demonstrations is therefore its squared norm.
    """
    model = random_model("llama")
    demonstrations, query = [[4, 9, 5, 21, 22, 23], [6, 11, 24, 25, 26, 27, 28]], [9]
    context = [0, *demonstrations[0], 1, *demonstrations[1], 1]
    prompts = Prompts(context, [query], [[5], [6]], [0], demonstration_spans=[(1, 7), (8, 15)])
    observed = observe(model, prompts, extras=["context_logits", "query_vectors", "rotated_query_vectors"])
    before, after = (trained_on(model, demonstrations, rotated) for rotated in (False, True))
    assert observed.query_vectors is not None
    products = torch.cat(before)[:, 0] @ observed.query_vectors[0, 0]
    assert products[2].item() == pytest.approx(observed.query_vectors[0, 0].square().sum().item(), rel=1e-4)
    spans = prompts.demonstration_spans
    agreement = attention_to_demonstrations(observed, observed, spans, before)
    assert agreement.kendall_by_token.shape == (1, 3)
    turned = attention_to_demonstrations(observed, observed, spans, after, rotated=True)
    assert not torch.equal(agreement.kendall_by_token, turned.kendall_by_token)


def trained_on(model: Model, demonstrations: list[list[int]], rotated: bool) -> list[Tensor]:
    result = []
    for demonstration in demonstrations:
        layers: dict[int, Tensor] = {}

        def attend(call: AttentionCall, layers: dict[int, Tensor] = layers) -> Tensor:
            layers[call.layer] = query_vectors(call, rotated)
            return causal_attention(call)

        with attention_routed(model.anatomy, attend):
            model.network(input_ids=torch.tensor([[0, *demonstration]]), use_cache=False)
        result.append(torch.stack([layers[layer] for layer in range(3)], dim=1))
    return result
