"""How architectures name their parts: data, which need no torch. Functions are named by their module in this room."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"demograd.models.{module}"), function)


@dataclass(frozen=True)
class AttentionOverride:
    """Into an attention that does not go through `AttentionInterface`: which of its methods stands aside, for what."""

    replaced_by: str
    """Function that is called with the attention module, `attend`, and what the method is called with."""
    method: str = "forward"
    rotated_by: str | None = None
    """Function that gives cosines and sines `[batch, tokens, rotated_dim]` by which the attention module rotates, from
    what its `forward` is called with; None for those that use the `position_embeddings` that they are handed, if
    any."""

    @property
    def function(self) -> Callable[..., Any]:
        """The function that `replaced_by` names."""
        return _function(self.replaced_by)

    @property
    def rotary(self) -> Callable[..., Any] | None:
        """The function that `rotated_by` names."""
        return None if self.rotated_by is None else _function(self.rotated_by)


@dataclass(frozen=True)
class PartNames:
    """How one architecture names its parts; the defaults are Llama's, which most follow."""

    blocks: str = "model.layers"
    attention: str = "self_attn"
    """Within a block."""
    key: str = "k_proj"
    value: str = "v_proj"
    fused: str | None = None
    """The one projection that holds query, key and value, where there is one."""
    layout: Literal["stacked", "interleaved"] = "stacked"
    """How it holds them: three stacked matrices, or key head by key head, each with its queries."""
    fused_output_dim: Literal[0, 1] = 0
    """Which dimension of its weight is the output: 0 for Linear, 1 for GPT-2's Conv1D."""
    final_norm: str | None = "model.norm"
    project_out: str | None = None
    """A projection between final norm and unembedding (OPT 350M)."""
    post_attention_norm: str | None = None
    """Within a block: a norm between attention output and residual addition (Gemma 2 and 3); an identity is none."""
    norm_after_addition: bool = False
    """Post-norm blocks: the residual stream after attention is the norm of the sum (BART; OPT 350M says so itself)."""
    attention_output: str | None = None
    """Within the attention: its output projection, where the attention module adds the residual stream (BLOOM)."""
    forward_mode: bool = True
    """Whether all that it computes has a forward-mode derivative; BLOOM's own GELU has none."""
    override: AttentionOverride | None = None
    """Into an architecture that does not register its attention with `AttentionInterface`."""
    biased_by: str | None = None
    """Function that gives what is added to attention logits `[heads, keys]`, of configuration, positions `[keys]` and
    dtype (ALiBi)."""
    takes_positions: bool = True
    """False where the network takes no `position_ids` but knows positions by its position bias only (BLOOM)."""

    @property
    def position_bias(self) -> Callable[..., Any] | None:
        """The function that `biased_by` names."""
        return None if self.biased_by is None else _function(self.biased_by)


_GEMMA = PartNames(post_attention_norm="post_attention_layernorm")

ARCHITECTURES: dict[str, PartNames] = {
    "llama": PartNames(),
    "mistral": PartNames(),
    "qwen2": PartNames(),
    "qwen3": PartNames(),
    "gemma": PartNames(),
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "granite": PartNames(),
    "cohere": PartNames(),
    "olmo": PartNames(),
    "olmo2": _GEMMA,
    "smollm3": PartNames(),
    "stablelm": PartNames(),
    "starcoder2": PartNames(),
    "phi": PartNames(final_norm="model.final_layernorm"),
    "phi3": PartNames(fused="qkv_proj"),
    "opt": PartNames(
        blocks="model.decoder.layers",
        final_norm="model.decoder.final_layer_norm",
        project_out="model.decoder.project_out",
    ),
    "gpt2": PartNames(
        blocks="transformer.h", attention="attn", fused="c_attn", fused_output_dim=1, final_norm="transformer.ln_f"
    ),
    "gpt_neox": PartNames(
        blocks="gpt_neox.layers",
        attention="attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="gpt_neox.final_layer_norm",
    ),
    "gpt_oss": PartNames(),
    "hyperclovax": PartNames(post_attention_norm="post_norm1"),
    "llama4_text": PartNames(),
    "xglm": PartNames(final_norm="model.layer_norm", override=AttentionOverride("attention_overrides.xglm")),
    "gptj": PartNames(
        blocks="transformer.h",
        attention="attn",
        final_norm="transformer.ln_f",
        override=AttentionOverride("attention_overrides.gptj", "_attn", "attention_overrides.gptj_rotary"),
    ),
    "gpt_neo": PartNames(
        blocks="transformer.h",
        attention="attn.attention",
        final_norm="transformer.ln_f",
        override=AttentionOverride("attention_overrides.gpt_neo", method="_attn"),
    ),
    "bloom": PartNames(
        forward_mode=False,
        blocks="transformer.h",
        attention="self_attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="transformer.ln_f",
        attention_output="dense",
        override=AttentionOverride("attention_overrides.bloom"),
        biased_by="attention_overrides.bloom_alibi",
        takes_positions=False,
    ),
    "falcon": PartNames(
        blocks="transformer.h",
        attention="self_attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="transformer.ln_f",
        override=AttentionOverride("attention_overrides.falcon", rotated_by="attention_overrides.falcon_rotary"),
        biased_by="attention_overrides.falcon_alibi",
    ),
    "bart": PartNames(blocks="model.decoder.layers", final_norm=None, norm_after_addition=True),
    "mbart": PartNames(blocks="model.decoder.layers", final_norm="model.decoder.layer_norm"),
}
