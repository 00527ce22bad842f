"""Query vectors as Dai 2023 takes them: before rotary positions, which only the network itself knows how to apply."""

import inspect
import sys
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from jaxtyping import Float
from torch import Tensor, nn

from demograd.errors import UserError
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import Attend, AttentionCall, attention_routed

_checked: "WeakSet[nn.Module]" = WeakSet()
_rotates: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


def query_vectors(call: AttentionCall, rotated: bool = False) -> Float[Tensor, "tokens heads_times_head_dim"]:
    """Every token's query vectors, scaled, heads concatenated, in float32.

    Args:
        call: of one layer, for one sequence (or pack).
        rotated: True takes them after rotary positions, as they meet the keys; False before. Equal where the layer
            has none.

    Raises:
        UserError: the module's rotation is not one that demograd can undo (`check_rotary` finds more).

    **Source:** Dai 2023 (attention to training tokens).
    """
    query = call.query if rotated else before_rotation(call)
    return query[0].transpose(0, 1).flatten(1).float() * call.scaling


def before_rotation(call: AttentionCall) -> Float[Tensor, "batch heads tokens head_dim"]:
    """The call's query before rotary positions.

    Rotating by the opposite angle undoes a rotation in whatever layout the architecture keeps its pairs. Cosines and
    sines may be scaled (YaRN, longrope) and are rounded in 16 bit, so their squares do not add up to one: that is
    divided out. Where only the first dimensions are rotated, the rest stays as it is.
    """
    query = call.query
    # SmolLM3 hands the same positions to all layers; some do not use them
    if call.rotary is None or not getattr(call.rotary.module, "use_rope", True):
        return query
    cos, sin = (
        table.to(query.device, torch.promote_types(table.dtype, torch.float32))
        for table in (call.rotary.cos, call.rotary.sin)
    )
    scale = cos**2 + sin**2
    if (
        getattr(call.rotary.module.config, "model_type", "") == "gpt_oss"
    ):  # one cosine and sine for each pair of dimensions
        scale = torch.cat([scale, scale], dim=-1)
    rotated, rest = query.split([scale.shape[-1], query.shape[-1] - scale.shape[-1]], dim=-1)
    rotated = rotated.to(cos.dtype) / scale.unsqueeze(1)
    undone, _ = _rotation(call.rotary.module)(rotated, rotated, cos, -sin)
    return torch.cat([undone, rest.to(undone.dtype)], dim=-1)


def _rotation(module: nn.Module) -> Any:
    """How the module's own source file rotates query and key `[batch, heads, tokens, dim]` by cosines and sines."""
    source = sys.modules[type(module).__module__]
    rotation = getattr(source, "apply_rotary_pos_emb", None) or getattr(source, "apply_rotary_emb", None)
    match [] if rotation is None else list(inspect.signature(rotation).parameters)[:4]:
        case ["q", "k", "cos", "sin"]:
            return rotation
        case ["xq", "xk", "freqs_cis"]:
            return partial(_in_complex_form, rotation)
        case ["tensor", "sin", "cos"]:
            return partial(_in_gptj_form, rotation)
        case _:
            raise _cannot_be_undone(module)


def _in_gptj_form(rotation: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
    """GPT-J's takes `[batch, tokens, heads, dim]`, and one cosine and sine for each pair of neighbours."""
    return tuple(rotation(vectors.transpose(1, 2), sin[..., ::2], cos[..., ::2]).transpose(1, 2) for vectors in (q, k))


def _in_complex_form(rotation: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
    """Llama 4's takes `[batch, tokens, heads, dim]`, and one complex number for each pair of neighbours."""
    turns = torch.complex(cos[..., ::2], sin[..., ::2])
    return tuple(vectors.transpose(1, 2) for vectors in rotation(q.transpose(1, 2), k.transpose(1, 2), turns))


@torch.no_grad()
def check_rotary(anatomy: Anatomy) -> None:
    """That `query_vectors` finds this network's queries before rotary positions. Tried once per network.

    Every token is given the same attention input, that of the first one. The queries then differ by nothing but their
    positions, so once the rotation is undone they must be equal.

    Raises:
        UserError: they are not.
    """
    if anatomy.network in _checked:
        return

    def attend(call: AttentionCall) -> Tensor:
        query = before_rotation(call)
        tolerance = max(1e-3, 8 * torch.finfo(call.query.dtype).eps) * query.abs().max()
        if not (query - query[:, :, :1]).abs().max() <= tolerance:
            raise _cannot_be_undone(anatomy.attentions[call.layer])
        return causal_attention(call)

    _run_on_one_token_repeated(anatomy, attend)
    _checked.add(anatomy.network)


@torch.no_grad()
def has_rotary_keys(anatomy: Anatomy) -> bool:
    """Whether the keys that a layer caches depend on where their tokens stand. Tried once per network.

    As in `check_rotary`, every token is given the same attention input: what keys then differ by is a rotation.
    """
    if anatomy.network in _rotates:
        return _rotates[anatomy.network]
    differences: list[float] = []

    def attend(call: AttentionCall) -> Tensor:
        difference = (call.key - call.key[:, :, :1]).abs().max() / call.key.abs().max()
        differences.append(difference.item())
        return causal_attention(call)

    _run_on_one_token_repeated(anatomy, attend)
    # products of equal rows may differ in their last bits; the fastest rotation is by a radian a token
    _rotates[anatomy.network] = max(differences) > 0.01
    return _rotates[anatomy.network]


def _run_on_one_token_repeated(anatomy: Anatomy, attend: Attend) -> None:
    ids = torch.full((1, 7), int(anatomy.network.config.vocab_size) - 1, device=anatomy.device)
    hooks = [
        attention.register_forward_pre_hook(_repeat_first_token, with_kwargs=True) for attention in anatomy.attentions
    ]
    try:
        with attention_routed(anatomy, attend):
            anatomy.decoder(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()


def _repeat_first_token(module: nn.Module, inputs: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
    if inputs:
        return (inputs[0][:, :1].expand_as(inputs[0]), *inputs[1:]), arguments
    hidden = arguments["hidden_states"]
    return inputs, arguments | {"hidden_states": hidden[:, :1].expand_as(hidden)}


def _cannot_be_undone(module: nn.Module) -> UserError:
    return UserError(
        f"The rotary positions of {type(module).__name__} cannot be undone",
        "query and key rotated by the cosines and sines that the attention module is handed",
        "Record rotated_query_vectors, which are taken after them, or use another model",
    )
