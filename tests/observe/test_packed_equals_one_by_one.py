"""A query in a pack, behind a cached context, is what it is alone in a whole prompt; and this test can fail."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import CONFIGS
from tests.observe.one_by_one import EVERYTHING, differences, one_by_one
from tests.searches import examples
from torch import Tensor

from demograd.models import ARCHITECTURES, Model
from demograd.observe import AttentionCall, Observation, attention_routed, observe
from demograd.observe.attention import partial_attention
from demograd.observe.packed import Pack
from demograd.tasks.prompts import Prompts

MakeModel = Callable[..., Model]
MakePrompts = Callable[..., Prompts]

TOLERANCE = 2e-5  # of rounding in float32, of which Gemma 2 shows most
UNPACKED = ["bart", "mbart"]
PACKED = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "granite",
    "cohere",
    "olmo",
    "olmo2",
    "smollm3",
    "stablelm",
    "starcoder2",
    "gpt_oss",
    "hyperclovax",
    "hyperclovax normed",
    "llama4_text",
    "phi",
    "phi3",
    "opt",
    "gpt2",
    "gpt_neox",
    "xglm",
    "gptj",
    "gpt_neo",
    "bloom",
    "falcon",
    "falcon grouped",
    "falcon alibi",
]
ALIBI = ["bloom", "falcon alibi"]


def worst(observed: Observation, reference: Observation) -> float:
    return max(differences(observed, reference).values())


def test_every_architecture_of_the_table_is_tried_here() -> None:
    assert {*PACKED, *UNPACKED} == set(CONFIGS)
    assert {kind.split()[0] for kind in CONFIGS} == set(ARCHITECTURES)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"context": 1, "answer_offset": -2},
        {"context": 1, "query_position": 30, "candidates": [[5], [6]]},
        {"candidates": [[5], [6]], "answer_offset": -2},
    ],
    ids=["several-token answers", "zero-shot at the first answer", "zero-shot far away", "one-token answers"],
)
def test_packed_equals_one_by_one(kind: str, shape: dict, random_model: MakeModel, random_prompts: MakePrompts) -> None:
    if kind in ALIBI and "query_position" in shape:
        pytest.skip("a network with ALiBi takes no positions: it is asked below in another way")
    model, prompts = random_model(kind), random_prompts(**shape)
    observed = observe(model, prompts, extras=EVERYTHING, pack_tokens=24)
    assert observed.notes == ()
    differing = differences(observed, one_by_one(model, prompts))
    assert max(differing.values()) < TOLERANCE, differing
    assert observed.gold.tolist() == prompts.gold


@pytest.mark.parametrize("kind", UNPACKED)
@pytest.mark.parametrize("candidates", [[[5], [6]], [[5], [6, 7, 8]]])
def test_a_network_that_counts_positions_by_itself_is_observed_unpacked_and_says_so(
    kind: str, candidates: list[list[int]], random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    model, prompts = random_model(kind), random_prompts(candidates=candidates, answer_offset=-2)
    observed = observe(model, prompts, extras=EVERYTHING)
    assert "packing does not fit" in " ".join(observed.notes)
    differing = differences(observed, one_by_one(model, prompts))
    assert max(differing.values()) < TOLERANCE, differing


@pytest.mark.parametrize("kind", ALIBI)
def test_with_alibi_a_query_far_away_is_what_it_is_behind_tokens_that_nobody_sees(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    """Context, unseen tokens, query: the bias counts the unseen ones, as it counts the gap."""
    model, prompts = random_model(kind), random_prompts(context=5, query_position=30, candidates=[[5], [6]])
    # BLOOM adds the bias to the scaled logits, Falcon before it scales them
    bias_scale = 1.0 if kind == "bloom" else 16**-0.5
    observed = observe(model, prompts, extras=EVERYTHING)
    assert observed.notes == ()
    for query, tokens in enumerate(prompts.queries):
        unseen = [3] * (30 - len(prompts.context))
        ids = torch.tensor([prompts.context + unseen + tokens])
        mask = torch.full((ids.shape[1],) * 2, -torch.inf).triu(1)
        mask[30:, len(prompts.context) : 30] = -torch.inf
        attend = partial(textbook_with_alibi, mask=mask, bias_scale=bias_scale)
        with attention_routed(model.anatomy, attend):
            hidden = model.anatomy.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        expected = model.anatomy.unembed(hidden).log_softmax(-1)
        torch.testing.assert_close(observed.next_token_log_probs[query], expected, rtol=1e-4, atol=1e-4)


def textbook_with_alibi(call: AttentionCall, mask: Tensor, bias_scale: float) -> Tensor:
    """With the bias of the paper (Press 2022), −s·(i − j), slopes 1/4, 1/16, 1/64, 1/256 for four heads."""
    tokens = call.query.shape[2]
    back = torch.arange(tokens)[:, None] - torch.arange(tokens)
    bias = -torch.tensor([4.0, 16.0, 64.0, 256.0])[:, None, None].reciprocal() * back
    logits = call.query @ call.key.transpose(-1, -2) * call.scaling + bias_scale * bias + mask
    return (logits.softmax(-1) @ call.value).transpose(1, 2)


@settings(max_examples=examples(30))
@given(
    context=st.integers(1, 20),
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=6).map(tuple),
    answers=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    answer_offset=st.sampled_from([-1, -2]),
    pack_tokens=st.integers(1, 60),
    kind=st.sampled_from(["llama", "gemma2"]),
)
def test_packed_equals_one_by_one_whatever_the_prompts(
    context: int,
    lengths: tuple[int, ...],
    answers: list[int],
    answer_offset: int,
    pack_tokens: int,
    kind: str,
    models: dict[str, Model],
    random_prompts: MakePrompts,
) -> None:
    candidates = [list(range(10 * label + 3, 10 * label + 3 + length)) for label, length in enumerate(answers)]
    gold = [0] * len(lengths)
    prompts = random_prompts(context, lengths, candidates=candidates, gold=gold, answer_offset=answer_offset)
    observed = observe(models[kind], prompts, extras=EVERYTHING, pack_tokens=pack_tokens)
    assert worst(observed, one_by_one(models[kind], prompts)) < TOLERANCE


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest) -> dict[str, Model]:
    make = request.getfixturevalue("random_model")
    # float64: over unusual prompts, rounding alone moves Gemma 2's float32 outputs by 1e-5, also one by one
    return {kind: make(kind, dtype=torch.float64) for kind in ("llama", "gemma2")}


# What follows shows that the comparison above can fail.


def leaking(self: Pack, call: AttentionCall) -> tuple[Tensor, Tensor]:
    """Attention in which a query sees all tokens before it in the row, those of its neighbours too."""
    groups = call.query.shape[1] // call.key.shape[1]
    key, value = call.key.repeat_interleave(groups, 1), call.value.repeat_interleave(groups, 1)
    output, normaliser = partial_attention(call.query, key, value, call, is_causal=True)
    return output[0], normaliser[0]


@pytest.mark.parametrize("kind", PACKED)
def test_the_comparison_sees_a_neighbour_that_leaks(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = random_model(kind), random_prompts(candidates=[[5], [6]])
    reference = one_by_one(model, prompts)
    assert worst(observe(model, prompts, extras=EVERYTHING), reference) < TOLERANCE
    monkeypatch.setattr(Pack, "_inside", leaking)
    differing = differences(observe(model, prompts, extras=EVERYTHING), reference)
    assert differing["attention_output"] > 500 * TOLERANCE
    assert differing["next_token_log_probs"] > 500 * TOLERANCE


@pytest.mark.parametrize("kind", PACKED)
def test_the_comparison_sees_positions_shifted_by_one(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    if kind in ALIBI:
        pytest.skip("a network with ALiBi takes no positions")
    # Llama 4's chunks of 7 are counted by index: behind 14 tokens, a query would rotate against itself alone
    model, prompts = random_model(kind), random_prompts(context=17)
    shifted = random_prompts(context=17, query_position=len(prompts.context) + 1)
    differing = differences(observe(model, shifted, extras=EVERYTHING), one_by_one(model, prompts))
    assert differing["attention_output"] > 500 * TOLERANCE
    assert differing["context_logits"] > 500 * TOLERANCE


def test_a_model_that_packing_breaks_is_noticed_when_it_is_first_observed(
    random_model: MakeModel, random_prompts: MakePrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = random_model("llama"), random_prompts()
    monkeypatch.setattr(Pack, "_inside", leaking)
    observed = observe(model, prompts, extras=EVERYTHING)
    assert observed.notes
    assert worst(observed, one_by_one(model, prompts)) < TOLERANCE


def test_a_window_that_packing_ignores_is_noticed_though_a_query_stood_at_a_later_position_before(
    random_model: MakeModel, random_prompts: MakePrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks are made by how many tokens there are, not by their positions."""
    model, prompts = random_model("mistral", sliding_window=30), random_prompts(context=40)
    sees = Pack._to_context
    monkeypatch.setattr(Pack, "_to_context", lambda pack, call: sees(pack, dataclasses.replace(call, window=None)))
    assert observe(model, random_prompts(context=1, lengths=(3, 4), query_position=60)).notes == ()
    observed = observe(model, prompts, extras=EVERYTHING)
    assert observed.notes
    assert worst(observed, one_by_one(model, prompts)) < TOLERANCE


def test_packs_and_order_and_neighbours_change_nothing(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    model, prompts = random_model("gemma2"), random_prompts()
    whole = observe(model, prompts, extras=EVERYTHING)
    for pack_tokens in (1, 13, 30):
        assert worst(observe(model, prompts, extras=EVERYTHING, pack_tokens=pack_tokens), whole) < TOLERANCE
    order = [3, 0, 5, 1, 4, 2]
    queries = [prompts.queries[query] for query in order]
    turned = dataclasses.replace(prompts, queries=queries, gold=[0] * len(order))
    other = observe(model, turned, extras=EVERYTHING)
    for place, query in enumerate(order):
        torch.testing.assert_close(other.attention_output[place], whole.attention_output[query], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(other.attention_logits[place], whole.attention_logits[query], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(other.label_log_probs[place], whole.label_log_probs[query], rtol=1e-4, atol=1e-5)
    alone = Prompts(prompts.context, prompts.queries[2:3], prompts.candidates, [0])
    torch.testing.assert_close(
        observe(model, alone).attention_output[0], whole.attention_output[2], rtol=1e-4, atol=1e-5
    )
