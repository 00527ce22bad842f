"""Where any architecture keeps its blocks, attention modules, key and value projections, final norm and unembedding.

This is the only place that knows architecture names. `ARCHITECTURES` says how each one names its parts; the first
observation of a model checks the guess on the model itself (`demograd.observe`), so a wrong row is loud and early.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from demograd.errors import UserError, unknown_name
from demograd.models import ways_in
from demograd.models.alibi import bloom_alibi, falcon_alibi
from demograd.models.parameters import ParameterSlice, Part, fused_rows
from demograd.models.ways_in import WayIn


@dataclass(frozen=True)
class Architecture:
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
    """Within a block: a norm between attention output and residual addition (Gemma 2 and 3)."""
    norm_after_addition: bool = False
    """Post-norm blocks: the residual stream after attention is the norm of the sum (BART; OPT 350M says so itself)."""
    attention_output: str | None = None
    """Within the attention: its output projection, where the attention module adds the residual stream (BLOOM)."""
    forward_mode: bool = True
    """Whether all that it computes has a forward-mode derivative; BLOOM's own GELU has none."""
    way_in: WayIn | None = None
    """Into an architecture that does not register its attention with `AttentionInterface`."""
    position_bias: Callable[[Any, Tensor, torch.dtype], Tensor | None] | None = None
    """What is added to attention logits `[heads, keys]`, of configuration, positions `[keys]` and dtype (ALiBi)."""
    takes_positions: bool = True
    """False where the network takes no `position_ids` but knows positions by its position bias only (BLOOM)."""


_LATENT = ("its latent attention makes keys and values of one low-rank vector that both share, so it has no key "
           "and value projections of their own")  # fmt: skip
_RECURRENT = "layers that carry a state or a convolution on, and not attention alone, read its context"

# Names of submodules and parts of names of classes by which a whole family is known.
_NOT_SUPPORTED = {"kv_a_proj_with_mqa": _LATENT, "kv_b_proj": _LATENT} | dict.fromkeys(
    ("Mamba", "Mixer2", "H1Mixer", "LinearAttention", "LightningAttention", "DeltaNet", "DeltaAttention", "ShortConv",
     "Recurrent",
     "Rwkv", "xLSTM"),
    _RECURRENT,
)  # fmt: skip

_GEMMA = Architecture(post_attention_norm="post_attention_layernorm")

ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(),
    "mistral": Architecture(),
    "qwen2": Architecture(),
    "qwen3": Architecture(),
    "gemma": Architecture(),
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "granite": Architecture(),
    "cohere": Architecture(),
    "olmo": Architecture(),
    "olmo2": _GEMMA,
    "smollm3": Architecture(),
    "stablelm": Architecture(),
    "starcoder2": Architecture(),
    "phi": Architecture(final_norm="model.final_layernorm"),
    "phi3": Architecture(fused="qkv_proj"),
    "opt": Architecture(
        blocks="model.decoder.layers",
        final_norm="model.decoder.final_layer_norm",
        project_out="model.decoder.project_out",
    ),
    "gpt2": Architecture(
        blocks="transformer.h", attention="attn", fused="c_attn", fused_output_dim=1, final_norm="transformer.ln_f"
    ),
    "gpt_neox": Architecture(
        blocks="gpt_neox.layers",
        attention="attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="gpt_neox.final_layer_norm",
    ),
    "gpt_oss": Architecture(),
    "hyperclovax": Architecture(),
    "llama4_text": Architecture(),
    "xglm": Architecture(final_norm="model.layer_norm", way_in=WayIn(ways_in.xglm)),
    "gptj": Architecture(
        blocks="transformer.h",
        attention="attn",
        final_norm="transformer.ln_f",
        way_in=WayIn(ways_in.gptj, "_attn", ways_in.gptj_rotary),
    ),
    "gpt_neo": Architecture(
        blocks="transformer.h",
        attention="attn.attention",
        final_norm="transformer.ln_f",
        way_in=WayIn(ways_in.gpt_neo, method="_attn"),
    ),
    "bloom": Architecture(
        forward_mode=False,
        blocks="transformer.h",
        attention="self_attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="transformer.ln_f",
        attention_output="dense",
        way_in=WayIn(ways_in.bloom),
        position_bias=bloom_alibi,
        takes_positions=False,
    ),
    "falcon": Architecture(
        blocks="transformer.h",
        attention="self_attention",
        fused="query_key_value",
        layout="interleaved",
        final_norm="transformer.ln_f",
        way_in=WayIn(ways_in.falcon, rotary=ways_in.falcon_rotary),
        position_bias=falcon_alibi,
    ),
    "bart": Architecture(blocks="model.decoder.layers", final_norm=None, norm_after_addition=True),
    "mbart": Architecture(blocks="model.decoder.layers", final_norm="model.decoder.layer_norm"),
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one network, found by its architecture's row."""

    network: Any
    """The Hugging Face module."""
    architecture: Architecture
    blocks: list[nn.Module] = field(repr=False)
    attentions: list[nn.Module] = field(repr=False)
    """The attention module of each block."""
    final_norm: nn.Module | None = field(repr=False)
    project_out: nn.Module | None = field(repr=False)
    unembedding: nn.Linear = field(repr=False)

    @property
    def decoder(self) -> nn.Module:
        """The network without its unembedding; its `last_hidden_state` has passed the final norm."""
        base = self.network.base_model
        if base is self.network:  # Llama 4's goes by another name than its class says
            return self.network.get_submodule(self.architecture.blocks.rpartition(".")[0])
        return base

    @property
    def device(self) -> torch.device:
        """Where token ids go in."""
        return self.network.get_input_embeddings().weight.device

    @property
    def attention_outputs(self) -> list[nn.Module]:
        """Per block, the module whose output is the attention output: after its projection, before any addition."""
        name = self.architecture.attention_output
        return [attention.get_submodule(name) if name else attention for attention in self.attentions]

    def position_bias(self, positions: Tensor) -> Tensor | None:
        """What the network adds to the logits of keys at these positions `[keys]`: `[heads, keys]`; None: nothing."""
        of_architecture = self.architecture.position_bias
        return of_architecture(self.network.config, positions, self.network.dtype) if of_architecture else None

    def positions(self, positions: Tensor) -> dict[str, Tensor]:
        """The argument that tells the network positions `[tokens]`; none where they are in its position bias only."""
        return {"position_ids": positions[None].to(self.device)} if self.architecture.takes_positions else {}

    @property
    def has_residual_stream_after_attention(self) -> bool:
        """Whether block input plus attention output is the residual stream: known, and not in post-norm blocks."""
        config = self.network.config
        post_norm = self.architecture.norm_after_addition or not getattr(config, "do_layer_norm_before", True)
        # BLOOM's option to carry on with the normed input instead of the input
        normed = getattr(config, "apply_residual_connection_post_layernorm", False)
        return config.model_type in ARCHITECTURES and not post_norm and not normed

    @property
    def post_attention_norms(self) -> list[nn.Module]:
        """Per block, the norm between attention output and residual addition; empty where there is none."""
        name = self.architecture.post_attention_norm
        return [block.get_submodule(name) for block in self.blocks] if name else []

    def unembed(self, normed: Tensor, tokens: slice | Tensor = slice(None)) -> Tensor:
        """Next-token logits `[..., tokens]` of hidden states that have passed the final norm `[..., hidden]`."""
        config, weight, bias = self.network.config, self.unembedding.weight, self.unembedding.bias
        logits = linear(normed.to(weight.device), weight[tokens], None if bias is None else bias[tokens])
        if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        if scale := getattr(config, "logit_scale", None):  # Cohere
            logits = logits * scale
        if scale := getattr(config, "logits_scaling", None):  # Granite, and HyperCLOVA X, which multiplies
            logits = logits * scale if config.model_type == "hyperclovax" else logits / scale
        return logits

    @property
    def readout_device(self) -> torch.device:
        """Where `readout` begins."""
        norm = [] if self.final_norm is None else list(self.final_norm.parameters())  # OLMo's has none
        return next(iter([*norm, *self.unembedding.parameters()])).device

    def normed(self, hidden: Tensor) -> Tensor:
        """Hidden states `[..., hidden]` as they enter the unembedding."""
        if self.final_norm is not None:
            hidden = self.final_norm(hidden)
        return hidden if self.project_out is None else self.project_out(hidden)

    def readout(self, hidden: Tensor) -> Tensor:
        """U of Deutch 2024 §4.3: final norm, then unembedding, of any layer's hidden states `[..., hidden]`."""
        return self.unembed(self.normed(hidden))

    def key_value_parameters(self, layer: int) -> list[ParameterSlice]:
        """The key and value projections (weights and biases) of a layer's attention, wherever they are kept."""
        attention, architecture = self.attentions[layer], self.architecture
        parts: tuple[Part, Part] = ("key", "value")
        if architecture.fused is None:
            return [
                ParameterSlice(f"{layer}.{part}.{name}", part, parameter)
                for part in parts
                for name, parameter in attention.get_submodule(getattr(architecture, part)).named_parameters()
            ]
        rows = fused_rows(self.network.config, architecture.layout)
        return [
            ParameterSlice(
                f"{layer}.{part}.{name}", part, parameter,
                dim=architecture.fused_output_dim if parameter.dim() > 1 else 0,
                index=rows[part].to(parameter.device),
            )
            for part in parts
            for name, parameter in attention.get_submodule(architecture.fused).named_parameters()
        ]  # fmt: skip


def find_anatomy(network: Any) -> Anatomy:
    """The anatomy of a Hugging Face causal language model.

    Raises:
        UserError: the architecture is not in the table and its parts are not where Llama keeps them, or its attention
            can neither be routed through `AttentionInterface` nor replaced.
    """
    kind = network.config.model_type
    architecture = ARCHITECTURES.get(kind, Architecture())
    if why := _why_not(network):
        raise UserError(f"{kind} is an architecture that cannot be measured: {why}",
                        "a model whose every layer attends by its own key and value projections",
                        "Use another model")  # fmt: skip
    try:
        blocks = list(network.get_submodule(architecture.blocks).children())
        attentions = [block.get_submodule(architecture.attention) for block in blocks]
        for attention in attentions:
            for name in [architecture.fused] if architecture.fused else [architecture.key, architecture.value]:
                attention.get_submodule(name)
        final_norm = _optional(network, architecture.final_norm)
    except AttributeError as error:
        raise _not_supported(kind, str(error)) from error
    if not blocks:
        raise _not_supported(kind, "it has no layers")
    if architecture.way_in is None and not network._can_set_attn_implementation():
        raise _not_supported(kind, "its attention does not go through transformers' AttentionInterface")
    unembedding = network.get_output_embeddings()
    if unembedding is None:
        raise _not_supported(kind, "it has no output embeddings, so it is not a language model")
    project_out = _optional(network, architecture.project_out)
    return Anatomy(network, architecture, blocks, attentions, final_norm, project_out, unembedding)


def _why_not(network: nn.Module) -> str | None:
    """Why this network's family is refused; None where nothing tells that it is."""
    for path, module in network.named_modules():
        names = path.rpartition(".")[2], type(module).__name__
        for mark, why in _NOT_SUPPORTED.items():
            if mark == names[0] or (why is _RECURRENT and mark in names[1]):
                return why
    return None


def _optional(network: nn.Module, path: str | None) -> nn.Module | None:
    # OPT's final norm and projection exist in some sizes only, and are None in the others
    if path is None:
        return None
    parent, _, name = path.rpartition(".")
    return getattr(network.get_submodule(parent), name)


def _not_supported(kind: str, why: str) -> UserError:
    if kind in ARCHITECTURES:
        return UserError(f"This {kind} model cannot be observed: {why}", "a causal language model of a known shape",
                         "Check that the installed transformers version is one that demograd supports")  # fmt: skip
    error = unknown_name("architecture", kind, ARCHITECTURES, "Add a row to demograd.models.anatomy.ARCHITECTURES")
    return UserError(f"{error.given} ({why})", error.expected, error.do)
