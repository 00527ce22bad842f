"""Whether a network has forward-mode derivatives: found by trying it on the network itself."""

from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.autograd import forward_ad

from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.first_order import experts_apart
from demograd.observe.pressure import is_out_of_memory
from demograd.observe.routing import attention_routed

_known: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


@torch.no_grad()
def has_forward_mode(anatomy: Anatomy) -> bool:
    """Whether all that this network computes has a forward-mode derivative; tried once per network, on two tokens."""
    if anatomy.network not in _known:
        _known[anatomy.network] = anatomy.architecture.forward_mode and _try(anatomy)
    return _known[anatomy.network]


def _try(anatomy: Anatomy) -> bool:
    ids = torch.zeros(1, 2, dtype=torch.long, device=anatomy.device)
    embeddings = anatomy.network.get_input_embeddings()(ids)
    try:
        with experts_apart(anatomy.network), attention_routed(anatomy, causal_attention), forward_ad.dual_level():
            dual = forward_ad.make_dual(embeddings, torch.ones_like(embeddings))
            anatomy.decoder(inputs_embeds=dual, use_cache=False)
    except (NotImplementedError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        return False
    return True
