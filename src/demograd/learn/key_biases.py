"""Key biases that no attention can notice, and that Adam must therefore not move.

A key bias b adds q · b to all logits of a token's row alike, and softmax ignores a constant. So its gradient is zero,
up to rounding: some 1e-9. SGD makes nothing of that. Adam divides a gradient by its own size, so that it would take
steps of the whole learning rate in random directions, and the attention logits that demograd records, before the
softmax, would move with them.

With rotary positions q · R(j − i) b depends on the key's position j: there the gradient is real, and stays. Where only
some dimensions of a head are rotated (GPT-NeoX, Phi), that holds of those alone. After a norm of the keys, or under
soft-capping, a bias is no constant either.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from demograd.models import Anatomy
from demograd.models.parameters import fused_rows
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed

TOKENS = 12
"""Length of the pass that finds the entries: enough positions for the slowest rotation to show in float32."""


@torch.no_grad()
def unnoticed_key_biases(anatomy: Anatomy) -> dict[int, Bool[Tensor, " entries"]]:
    """Masks of the entries of each key bias that no attention can notice, by the `id` of the parameter that holds it.

    Found on the network itself, in one pass: those whose keys enter the softmax as they left the projection, neither
    rotated nor normed. Fused projections: False at queries and values.
    """
    architecture = anatomy.architecture
    name = architecture.fused or architecture.key
    projections = [attention.get_submodule(name) for attention in anatomy.attentions]
    biases = [getattr(projection, "bias", None) for projection in projections]
    if not any(isinstance(bias, Tensor) for bias in biases):
        return {}
    fused = fused_rows(anatomy.network.config, architecture.layout)["key"] if architecture.fused else None
    projected: dict[int, Tensor] = {}
    unnoticed: dict[int, Tensor] = {}

    def keep(layer: int, output: Tensor) -> None:
        projected[layer] = output[0] if fused is None else output[0].index_select(-1, fused.to(output.device))

    def attend(call: AttentionCall) -> Tensor:
        bias, keys = biases[call.layer], call.key[0].transpose(0, 1).flatten(1)
        if isinstance(bias, Tensor) and call.softcap is None and keys.shape == projected[call.layer].shape:
            same = (keys == projected[call.layer]).all(dim=0).to(bias.device)
            if fused is None:
                unnoticed[id(bias)] = same
            else:
                mask = torch.zeros_like(bias, dtype=torch.bool)
                mask[fused.to(bias.device)] = same
                unnoticed[id(bias)] = mask
        return causal_attention(call)

    hooks = [
        projection.register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
        for layer, projection in enumerate(projections)
    ]
    ids = torch.arange(TOKENS, device=anatomy.device)[None] % int(anatomy.network.config.vocab_size)
    try:
        with attention_routed(anatomy, attend):
            anatomy.decoder(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return unnoticed
