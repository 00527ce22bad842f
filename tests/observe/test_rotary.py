"""Query vectors before rotary positions, against what the query projection (and its norm) put out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.conftest import CONFIGS
from torch import Tensor, nn

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe import check_rotary, observe
from demograd.tasks.prompts import Prompts

MakeModel = Callable[..., Model]
MakePrompts = Callable[..., Prompts]

WITHOUT_ROTARY = ["opt", "gpt2", "xglm", "bart", "mbart", "gpt_neo", "bloom", "falcon alibi"]
LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope",
        "short_factor": [1.5] * 8,
        "long_factor": [4.0] * 8,
        "rope_theta": 10000.0,
        "factor": 4.0,
    },
    "original_max_position_embeddings": 64,
}


def before_rotation(attention: Any, hidden: Tensor, config: Any) -> Tensor:
    """One token's query vectors `[heads × head_dim]` (unscaled), from the modules that each architecture applies."""
    kind, heads = config.model_type, config.num_attention_heads
    if kind in ("gpt_neox", "bloom") or (kind == "falcon" and config.alibi):
        query = attention.query_key_value(hidden).view(heads, 3, -1)[:, 0]
    elif kind == "gpt2":
        query = attention.c_attn(hidden)[: config.n_embd].view(heads, -1)
    elif kind == "falcon" and config.new_decoder_architecture:  # of each group: its queries, a key, a value
        query = attention.query_key_value(hidden).view(config.num_kv_heads, -1, attention.head_dim)[:, :-2]
        query = query.flatten(0, 1)
    elif kind == "falcon":
        query = attention.query_key_value(hidden)[: heads * attention.head_dim].view(heads, -1)
    elif kind == "phi3":
        query = attention.qkv_proj(hidden)[: heads * attention.head_dim].view(heads, -1)
    else:
        query = attention.q_proj(hidden)
        query = attention.q_norm(query) if kind == "olmo2" else query  # over all heads together
        query = query.clamp(-config.clip_qkv, config.clip_qkv) if kind == "olmo" else query
        query = query.view(heads, -1)
    norm = {"qwen3": "q_norm", "gemma3_text": "q_norm", "cohere": "q_norm"}.get(kind, "q_layernorm")
    if kind == "llama4_text":  # a norm without weights: of what is rotated, and of nothing else
        norm = "qk_norm"
    if kind == "stablelm":  # one norm per head, over [batch, heads, tokens, dim]
        return attention.q_layernorm(query[None, :, None]).flatten()
    return getattr(attention, norm, nn.Identity())(query).flatten()


@contextmanager
def attention_inputs(model: Model) -> Iterator[list[Tensor]]:
    """The last token's hidden state as it enters each attention module."""
    queries: list[Tensor] = []

    def keep(module: Any, inputs: Any, arguments: Any) -> None:
        queries.append(arguments.get("hidden_states", *inputs[:1])[0, -1])

    hooks = [attention.register_forward_pre_hook(keep, with_kwargs=True) for attention in model.anatomy.attentions]
    try:
        yield queries
    finally:
        for hook in hooks:
            hook.remove()


def own_queries(model: Model, prompts: Prompts) -> Tensor:
    """`[queries, layers, heads × head_dim]`, unscaled, each prompt encoded whole by the plain network."""
    config, rows = model.network.config, []
    for query in prompts.queries:
        with attention_inputs(model) as inputs:
            model.network(input_ids=torch.tensor([prompts.context + query]), use_cache=False)
        rows.append(
            torch.stack(
                [
                    before_rotation(attention, hidden, config)
                    for attention, hidden in zip(model.anatomy.attentions, inputs, strict=True)
                ]
            )
        )
    return torch.stack(rows)


@pytest.mark.parametrize("kind", CONFIGS)
@torch.no_grad()
def test_query_vectors_are_those_of_the_projection_before_any_rotation(
    kind: str, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    model, prompts = random_model(kind), random_prompts()
    observed = observe(model, prompts, extras=["query_vectors", "rotated_query_vectors"])
    before, after = observed.query_vectors, observed.rotated_query_vectors
    assert before is not None
    assert after is not None
    config = model.network.config
    scaling = getattr(model.anatomy.attentions[0], "scaling", getattr(config, "head_dim", 16) ** -0.5)
    scaling = 1 if kind == "gpt_neo" else scaling
    torch.testing.assert_close(before, scaling * own_queries(model, prompts), rtol=1e-4, atol=1e-5)
    if kind in WITHOUT_ROTARY:
        assert torch.equal(before, after)
        return
    moved = (before - after).flatten(2).norm(dim=-1) / after.norm(dim=-1)
    rotated = torch.tensor(config.no_rope_layers if kind in ("smollm3", "llama4_text") else [1, 1, 1]).bool()
    assert (moved[:, rotated] > 0.1).all()
    assert (moved[:, ~rotated] == 0).all()


@torch.no_grad()
def test_cosines_that_are_scaled_are_undone_too(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    """longrope multiplies cosines and sines, so that a rotated query is longer than it was."""
    model, prompts = random_model("phi3", sliding_window=None, **LONGROPE), random_prompts()
    observed = observe(model, prompts, extras=["query_vectors", "rotated_query_vectors"])
    before, after = observed.query_vectors, observed.rotated_query_vectors
    assert before is not None
    assert after is not None
    assert (after.norm(dim=-1) > 1.1 * before.norm(dim=-1)).all()
    torch.testing.assert_close(before, own_queries(model, prompts) / 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_in_16_bit_the_rounded_rotation_is_undone_as_well_as_its_result_is_known(
    dtype: torch.dtype, random_model: MakeModel, random_prompts: MakePrompts
) -> None:
    model, prompts = random_model("llama", dtype=dtype), random_prompts(lengths=(3,), context=1)
    object.__setattr__(model, "dtype", str(dtype).removeprefix("torch."))
    vectors = observe(model, prompts, extras=["query_vectors"]).query_vectors
    expected = own_queries(model, prompts).float() / 4
    assert vectors is not None
    assert ((vectors - expected).norm() / expected.norm()).item() < 4 * torch.finfo(dtype).eps


def test_a_layer_that_leaves_its_positions_unused_without_saying_so_is_refused(random_model: MakeModel) -> None:
    """Cohere 2 rotates in its sliding layers only: undoing it everywhere would turn the others' queries."""
    from transformers import Cohere2Config, Cohere2ForCausalLM

    from demograd.models import find_anatomy

    config = Cohere2Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=7,
        max_position_embeddings=128,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    network = Cohere2ForCausalLM(config).eval()
    with pytest.raises(UserError, match=r"Cohere2Attention cannot be undone.*rotated_query_vectors"):
        check_rotary(find_anatomy(network))
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_rotation_in_an_unknown_form_is_refused(
    random_model: MakeModel, random_prompts: MakePrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.llama import modeling_llama

    rotate = modeling_llama.apply_rotary_pos_emb
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", lambda *arguments: rotate(*arguments))
    model = random_model("llama")
    with pytest.raises(UserError, match="LlamaAttention cannot be undone"):
        observe(model, random_prompts(), extras=["query_vectors"])
    assert observe(model, random_prompts(), extras=["rotated_query_vectors"]).rotated_query_vectors is not None
