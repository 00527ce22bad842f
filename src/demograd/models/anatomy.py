"""Where any architecture keeps its blocks, attention modules, key and value projections, final norm and unembedding.

`ARCHITECTURES` says how each architecture names its parts; the first
observation of a model checks the guess on the model itself (`demograd.observe`), so a wrong row is loud and early.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from demograd.errors import UserError, unknown_name
from demograd.models.architectures import ARCHITECTURES, PartNames
from demograd.models.parameters import ParameterSlice, Part, fused_rows

_CONVERTED_ROWS = 8192
"""Rows of a 16-bit unembedding that are in float32 at a time."""

_LATENT = (
    "its latent attention makes keys and values of one low-rank vector that both share, so it has no key "
    "and value projections of their own"
)
_RECURRENT = "layers that carry a state or a convolution on, and not attention alone, read its context"

# Names of submodules and parts of names of classes by which a whole family is known.
_NOT_SUPPORTED = {"kv_a_proj_with_mqa": _LATENT, "kv_b_proj": _LATENT} | dict.fromkeys(
    (
        "Mamba",
        "Mixer2",
        "H1Mixer",
        "LinearAttention",
        "LightningAttention",
        "DeltaNet",
        "DeltaAttention",
        "ShortConv",
        "Recurrent",
        "Rwkv",
        "xLSTM",
    ),
    _RECURRENT,
)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one network, found by its architecture's row."""

    network: Any
    """The Hugging Face module."""
    architecture: PartNames
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
        norms = [block.get_submodule(name) for block in self.blocks] if name else []
        return [] if any(isinstance(norm, nn.Identity) for norm in norms) else norms

    @property
    def residual_multiplier(self) -> float:
        """What an attention output is multiplied with before it is added to the stream (Granite)."""
        return float(getattr(self.network.config, "residual_multiplier", 1.0))

    def unembed(self, normed: Tensor, tokens: slice | Tensor = slice(None)) -> Tensor:
        """Next-token logits `[..., tokens]` of hidden states that have passed the final norm `[..., hidden]`."""
        weight, bias = self.unembedding.weight, self.unembedding.bias
        return self._scaled(linear(normed.to(weight.device), weight[tokens], None if bias is None else bias[tokens]))

    def exact_logits(self, normed: Tensor) -> Tensor:
        """`unembed` in float32 whatever the network's dtype: `[..., vocabulary]`.

        In 16 bit two label words often round to one logit. Rows of the unembedding are converted a part at a time, so
        that no float32 copy of it is ever whole.
        """
        weight, bias = self.unembedding.weight, self.unembedding.bias
        exact = normed.to(weight.device).float()
        parts = [
            linear(exact, weight[rows].float(), None if bias is None else bias[rows].float())
            for rows in (slice(start, start + _CONVERTED_ROWS) for start in range(0, len(weight), _CONVERTED_ROWS))
        ]
        return self._scaled(torch.cat(parts, dim=-1))

    def exact_logits_of(self, normed: Tensor, tokens: Tensor) -> Tensor:
        """The logit in float32 of one token behind each hidden state: `[rows, hidden]` and `[rows]` give `[rows]`.

        Every row is summed in the same order, so tokens of equal rows in the unembedding have exactly equal logits, as
        they need not have in a matrix product.
        """
        weight, bias = self.unembedding.weight, self.unembedding.bias
        tokens = tokens.to(weight.device)
        logits = (normed.to(weight.device).float() * weight[tokens].float()).sum(dim=-1)
        return self._scaled(logits if bias is None else logits + bias[tokens].float())

    def _scaled(self, logits: Tensor) -> Tensor:
        """What architectures do to the products of hidden states and unembedding."""
        config = self.network.config
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
                f"{layer}.{part}.{name}",
                part,
                parameter,
                dim=architecture.fused_output_dim if parameter.dim() > 1 else 0,
                index=rows[part].to(parameter.device),
            )
            for part in parts
            for name, parameter in attention.get_submodule(architecture.fused).named_parameters()
        ]


def find_anatomy(network: Any) -> Anatomy:
    """The anatomy of a Hugging Face causal language model.

    Raises:
        UserError: the architecture is not in the table and its parts are not where Llama keeps them, or its attention
            can neither be routed through `AttentionInterface` nor replaced.
    """
    kind = network.config.model_type
    architecture = ARCHITECTURES.get(kind, PartNames())
    if why := _why_not(network):
        raise UserError(
            f"{kind} is an architecture that cannot be measured: {why}",
            "a model whose every layer attends by its own key and value projections",
            "Use another model",
        )
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
    if architecture.override is None and not network._can_set_attn_implementation():
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
        return UserError(
            f"This {kind} model cannot be observed: {why}",
            "a causal language model of a known shape",
            "Check that the installed transformers version is one that demograd supports",
        )
    error = unknown_name("architecture", kind, ARCHITECTURES, "Add a row to demograd.models.ARCHITECTURES")
    return UserError(f"{error.problem} ({why})", error.expected, error.do)
