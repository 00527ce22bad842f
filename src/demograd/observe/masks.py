"""Which tokens each layer's attention sees: asked of the network itself, whose configuration need not tell.

transformers makes a model's masks by functions of two tokens' places. While a network is asked, a mask function of ours
stands where those would be worked out, and what it was to make reaches each layer's attention in place of a mask.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from demograd.errors import UserError
from demograd.models import Anatomy

_NAME = "demograd's masks"


@dataclass(frozen=True)
class Mask:
    """Which tokens a token sees of those up to itself: all, a window, or its chunk."""

    window: int | None = None
    """It sees this many tokens back, itself included."""
    chunk: int | None = None
    """It sees its own chunk of this many tokens, as far as itself."""


@dataclass(frozen=True)
class _MaskRequest:
    """A mask that a network asked for."""

    sees: Callable[..., Any]
    """Function of batch, head, query and key: whether this query sees this key."""
    size: int | None
    """Tokens of a window or chunk; None: neither."""


_masks: "WeakKeyDictionary[nn.Module, list[Mask | None]]" = WeakKeyDictionary()
_layers: ContextVar[dict[int, Any]] = ContextVar("layers")


def attention_masks(anatomy: Anatomy) -> list[Mask | None]:
    """What each layer's mask is, tried once per network; None where it has none from transformers.

    Raises:
        UserError: a mask is neither causal nor a sliding window nor chunks.
    """
    if anatomy.network not in _masks:
        _masks[anatomy.network] = _request_masks(anatomy)
    return _masks[anatomy.network]


@torch.no_grad()
def _request_masks(anatomy: Anatomy) -> list[Mask | None]:
    if anatomy.architecture.override is not None:  # which says what it sees with every call
        return [None] * len(anatomy.blocks)
    config = anatomy.network.config
    before = config._attn_implementation
    config._attn_implementation = _NAME
    layers: dict[int, Any] = {}
    token = _layers.set(layers)
    try:
        anatomy.decoder(input_ids=torch.zeros(1, 2, dtype=torch.long, device=anatomy.device), use_cache=False)
    except (AttributeError, TypeError):  # it works on its mask by itself; whether causal ones fit, `fit` finds out
        layers.clear()
    finally:
        config._attn_implementation = before
        _layers.reset(token)
    requests = {layer: request for layer, request in layers.items() if isinstance(request, _MaskRequest)}
    kinds = {id(request): _mask(anatomy, request) for request in requests.values()}
    return [kinds[id(requests[layer])] if layer in requests else None for layer in range(len(anatomy.blocks))]


def _keep(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **_: Any
) -> tuple[Tensor, None]:
    layer: Any = module.layer_idx
    _layers.get()[layer] = attention_mask
    return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1]), None


def _mask_request(*, mask_function: Callable[..., Any], local_size: int | None = None, **_: Any) -> _MaskRequest:
    return _MaskRequest(mask_function, local_size)


AttentionInterface.register(_NAME, _keep)
AttentionMaskInterface.register(_NAME, _mask_request)


def _mask(anatomy: Anatomy, request: _MaskRequest) -> Mask:
    """
    Raises:
        UserError: it is none that demograd knows.
    """
    size = request.size
    near = {0, 1, 2, 3, 4, 5} if size is None else {0, 1, size - 1, size, size + 1, 2 * size - 1, 2 * size}
    tokens = torch.tensor(sorted(near))
    query, key, first = tokens[:, None], tokens[None], torch.zeros(1, dtype=torch.long)
    device = anatomy.device
    sees = torch.as_tensor(request.sees(first.to(device), first.to(device), query.to(device), key.to(device))).cpu()
    causal = key <= query
    kinds = {Mask(): causal}
    if size is not None:
        kinds = {
            Mask(window=size): causal & (query - key < size),
            Mask(chunk=size): causal & (query // size == key // size),
        }
    for mask, expected in kinds.items():
        if torch.equal(sees.expand_as(expected), expected):
            return mask
    raise UserError(
        f"The attention mask of {anatomy.network.config.model_type} is not one that demograd knows",
        "causal attention to all tokens, to a sliding window or to chunks",
        "Use another model, or teach demograd.observe.masks what it means",
    )
