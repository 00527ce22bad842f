"""What is recorded, what is refused, and what is left as it was."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.observe.one_by_one import EVERYTHING

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe import Observation, attention_routed, observe
from demograd.observe.attention import attention_logits
from demograd.tasks.prompts import Prompts, TrainingSequence

MakeModel = Callable[..., Model]
MakePrompts = Callable[..., Prompts]

KINDS = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "opt",
    "gpt2",
    "gpt_neox",
    "xglm",
    "bart",
]


@pytest.mark.parametrize("kind", KINDS)
def test_softmax_of_the_recorded_logits_is_the_networks_own_attention(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    """Against the probabilities that the eager network itself returns; where it gives none, its mask hides a token."""
    model, prompts = random_model(kind), random_prompts()
    observed = observe(model, prompts, extras=EVERYTHING)
    assert observed.context_logits is not None
    hidden = 0
    for number, query in enumerate(prompts.queries):
        ids = torch.tensor([prompts.context + query])
        maps = model.network(input_ids=ids, use_cache=False, output_attentions=True).attentions
        expected = torch.stack([attention[0, :, -1] for attention in maps])
        logits = torch.cat([observed.context_logits[number], observed.attention_logits[number]], dim=-1)
        masked = expected == 0
        hidden += int(masked.sum())
        probabilities = logits.masked_fill(masked, -torch.inf).softmax(-1)
        torch.testing.assert_close(probabilities, expected, rtol=1e-4, atol=1e-6)
        assert (expected.max(dim=-1).values > 3 / ids.shape[1]).any(), "flat attention would prove nothing"
    has_window = getattr(model.network.config, "sliding_window", None) is not None
    assert (hidden > 0) == has_window


def test_a_row_has_one_entry_per_query_head_even_where_heads_share_keys(
    random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    prompts = random_prompts()
    observed = observe(random_model("llama"), prompts, extras=EVERYTHING)
    assert [tuple(row.shape) for row in observed.attention_logits] == [(3, 4, len(query)) for query in prompts.queries]
    assert observed.context_logits is not None
    assert observed.context_logits.shape == (6, 3, 4, len(prompts.context))
    shared = torch.cat([row[:, 0].flatten() - row[:, 1].flatten() for row in observed.attention_logits])
    assert shared.abs().mean() > 0.1, "heads that share a key still have queries of their own"


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "olmo2"])
def test_the_attention_output_is_read_before_gemmas_norm_unless_asked_for_after_it(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    model, prompts = random_model(kind), random_prompts()
    before = observe(model, prompts).attention_output
    after = observe(model, prompts, place="after_norm").attention_output
    normed = torch.stack(
        [norm(before[:, layer]) for layer, norm in enumerate(model.anatomy.post_attention_norms)], dim=1
    )
    torch.testing.assert_close(after, normed)
    assert (after - before).norm() > 0.1 * before.norm()


def test_where_no_norm_follows_attention_there_is_no_place_after_it(
    random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    with pytest.raises(UserError, match="after_norm"):
        observe(random_model("llama"), random_prompts(), place="after_norm")


def test_what_was_not_asked_for_is_not_recorded(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    model, prompts = random_model("llama"), random_prompts()
    observed = observe(model, prompts)
    assert (observed.next_token_log_probs, observed.context_logits, observed.query_vectors) == (None, None, None)
    assert observe(model, prompts, extras=["query_vectors"]).query_vectors is not None
    with pytest.raises(UserError, match="context_logits"):
        observe(model, prompts, extras=iter(["context_logit"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["llama", "gpt_oss", "bloom", "bart"])
def test_the_attention_of_the_first_queries_is_theirs_among_all(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    """Packs hold like lengths together, so the first queries stand in several of them, and some packs hold none."""
    model, prompts = random_model(kind), random_prompts()
    of_all = observe(model, prompts, extras=["attention_weights"], pack_tokens=12)
    of_first = observe(model, prompts, attention_queries=2, pack_tokens=12)
    assert of_all.attention_weights is not None and of_first.attention_weights is not None
    assert len(of_all.attention_weights) == 6 and len(of_first.attention_weights) == 2
    torch.testing.assert_close(of_first.attention_weights, of_all.attention_weights[:2])
    assert torch.equal(of_first.attention_output, of_all.attention_output)


def test_16_bit_models_are_recorded_in_float32_and_near_what_float32_says(
    random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    prompts = random_prompts()
    exact = observe(random_model("llama"), prompts)
    half = dataclasses.replace(random_model("llama", dtype=torch.bfloat16), dtype="bfloat16")
    observed = observe(half, prompts, extras=EVERYTHING)
    assert observed.dtype == "bfloat16"
    for field in dataclasses.fields(observed):
        value = getattr(observed, field.name)
        tensors = value if isinstance(value, list) else [value]
        assert all(
            tensor.dtype in (torch.float32, torch.int64) for tensor in tensors if isinstance(tensor, torch.Tensor)
        )
    error = (observed.attention_output - exact.attention_output).norm() / exact.attention_output.norm()
    assert 1e-5 < error < 0.05


def test_an_observation_comes_back_from_its_file_bit_for_bit(
    random_model: MakeModel, random_prompts: MakePrompts, tmp_path: Path
) -> None:
    model, prompts = random_model("bart"), random_prompts()
    for number, extras in enumerate([(), EVERYTHING]):
        observed = observe(model, prompts, extras=extras)
        assert observed.notes
        observed.save(tmp_path / f"{number}.safetensors")
        back = Observation.load(tmp_path / f"{number}.safetensors")
        for field in dataclasses.fields(Observation):
            mine, loaded = getattr(observed, field.name), getattr(back, field.name)
            if isinstance(mine, torch.Tensor):
                assert torch.equal(mine, loaded), field.name
            elif isinstance(mine, list):
                assert all(torch.equal(a, b) for a, b in zip(mine, loaded, strict=True)), field.name
            else:
                assert mine == loaded, field.name
        assert torch.equal(back.predictions, observed.label_log_probs.argmax(-1))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_prompts_longer_than_the_context_window_are_refused_and_one_token_less_is_not(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    """The window is 128 tokens; the longest answer's last token is never fed to the network."""
    model = random_model(kind)
    fits = random_prompts(context=119, lengths=(7, 4))
    assert observe(model, fits).attention_output.isfinite().all()
    with pytest.raises(UserError, match=r"129 tokens.*at most 128"):
        observe(model, random_prompts(context=120, lengths=(7, 4)))
    with pytest.raises(UserError, match=r"129 tokens.*at most 128"):
        observe(model, random_prompts(context=1, lengths=(7, 4), query_position=120))


def test_a_network_that_counts_positions_by_itself_cannot_be_told_other_ones(
    random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    with pytest.raises(UserError, match="align_positions"):
        observe(random_model("bart"), random_prompts(context=1, query_position=9))


def test_attention_that_does_more_than_demograd_knows_is_refused_by_name(random_prompts: MakePrompts) -> None:
    """Doge makes a mask of its own from the values; to another interface, an argument may be handed."""
    from transformers import DogeConfig, DogeForCausalLM, LlamaConfig, LlamaForCausalLM

    from demograd.models import find_anatomy

    settings: dict[str, Any] = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 16,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    network = DogeForCausalLM(DogeConfig(**settings)).eval()
    with pytest.raises(UserError, match="DogeAttention takes a mask of its own"):
        observe(Model("own mask", network, None, find_anatomy(network)), random_prompts())
    network = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    for layer in network.model.layers:  # hands what it does not know on to the interface
        layer.self_attn.forward = partial(layer.self_attn.forward, relative_bias=torch.ones(2))
    with pytest.raises(UserError, match="LlamaAttention takes relative_bias, which demograd does not know"):
        observe(Model("own argument", network, None, find_anatomy(network)), random_prompts())


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("kind", ["llama", "xglm", "bart"])
def test_an_interrupted_pass_leaves_the_network_as_it_was(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    model, prompts = random_model(kind), random_prompts()
    ids = torch.tensor([prompts.context])
    logits, fingerprint = model.network(input_ids=ids).logits, model.fingerprint

    def interrupt(done: Any) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        observe(model, prompts, on_progress=interrupt)
    with pytest.raises(Interrupted), attention_routed(model.anatomy, interrupt):
        model.network(input_ids=ids)
    del model.__dict__["fingerprint"]  # computed once: compute it anew
    assert model.fingerprint == fingerprint
    assert model.network.config._attn_implementation == "eager"
    assert all("forward" not in vars(attention) for attention in model.anatomy.attentions)
    assert not any(module._forward_hooks for module in model.network.modules())
    assert torch.equal(model.network(input_ids=ids).logits, logits)


def test_progress_counts_queries(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    counts: list[int] = []
    observe(random_model("llama"), random_prompts(), pack_tokens=16, on_progress=counts.append)
    assert counts == sorted(counts)
    assert len(counts) > 1
    assert counts[-1] == 6


def test_rotary_factors_that_change_between_context_and_queries_are_refused(random_model: MakeModel) -> None:
    """longrope takes its factors from how far a pass reaches: a cached context cannot serve queries past the limit."""
    factors = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8, "rope_theta": 10000.0}
    model = random_model("phi3", rope_parameters=factors, original_max_position_embeddings=24, sliding_window=None)
    tokens = list(range(4, 60))
    for context, fits in ((12, False), (20, False), (40, True), (4, True)):
        prompts = Prompts(tokens[:context], [tokens[:18], tokens[5:19]], [[4], [5]], [0, 0])
        if fits:
            observe(model, prompts)
        else:
            with pytest.raises(UserError, match="both sides of token 24"):
                observe(model, prompts)


def test_logits_that_only_overflow_before_they_are_scaled_do_not_overflow() -> None:
    query = torch.full((1, 1, 1, 64), 60.0, dtype=torch.float16)
    assert attention_logits(query, query, 0.125, None).item() == pytest.approx(28800, rel=1e-3)


def test_products_of_demonstrations_need_demonstrations(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    model, prompts = random_model("llama"), random_prompts(context=1, demonstration_spans=[])
    with pytest.raises(UserError, match="context_value_key_products of prompts without demonstrations"):
        observe(model, prompts, extras=["context_value_key_products"])
    assert observe(model, prompts, extras=["value_key_products"]).value_key_products is not None


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2"])
@pytest.mark.parametrize("answer_offset", [-1, -2])
def test_the_next_token_is_predicted_where_the_answer_is_and_what_is_recorded_there_scores_the_labels(
    kind: str, answer_offset: int, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    """At the first answer, one token behind: the appended token changes neither the scores nor the distribution."""
    model = random_model(kind)
    plain = random_prompts(candidates=[[5], [6], [9]])
    queries = [[*query, 5] for query in plain.queries] if answer_offset == -2 else plain.queries
    appended = dataclasses.replace(plain, queries=queries, answer_offset=answer_offset)
    observed = observe(model, appended, extras=["next_token_log_probs"])
    log_probs = observed.next_token_log_probs
    assert log_probs is not None
    expected = observe(model, plain, extras=["next_token_log_probs"]).next_token_log_probs
    torch.testing.assert_close(log_probs, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_probs[:, [5, 6, 9]], observed.label_log_probs)
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(6))
    assert (log_probs.argmax(dim=-1) != log_probs.argmax(dim=-1)[0]).any()


def test_a_description_is_one_line_of_shapes_and_counts(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    model, prompts = random_model("gpt2"), random_prompts()
    observed = observe(model, prompts, extras=frozenset({"context_logits"}))
    assert repr(prompts) == (
        "Prompts(6 queries of 2 to 9 tokens, 3 classes, behind a context of 14 tokens with 2 demonstrations)"
    )
    assert repr(observed) == (
        "Observation(6 queries, 3 layers of 64, 4 heads, 3 classes, context_logits [6, 3, 4, 14], float32)"
    )
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    assert "\n" not in repr(model) and f"GPT2LMHeadModel, 3 layers of 64, {parameters:,} parameters" in repr(model)
    assert repr(TrainingSequence([0, 5, 6], [False, True, True])) == (
        "TrainingSequence(3 tokens, 2 of which count in the loss)"
    )
