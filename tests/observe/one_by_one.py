"""What the network itself says about every prompt, each encoded whole and alone: the reference for any packing.

Nothing of `demograd.observe` computes anything here; only its record, `Observation`, is borrowed to hold the numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb

from demograd.models import Model
from demograd.observe import Observation
from demograd.observe.extras import Extra
from demograd.tasks.prompts import Prompts


@dataclass
class Attended:
    """One layer's attention at the last token."""

    logits: Tensor
    """[heads, keys]"""
    query: Tensor
    """Scaled and rotated [heads × head_dim]."""
    weights: Tensor
    """[heads, keys]"""
    key: Tensor
    """[heads, keys, head_dim]: repeated for the heads that share it."""
    value: Tensor
    heads_per_key: int

    def products(self, tokens: list[int], weighted: bool) -> Tensor:
        """Σ v kᵀ over these tokens `[kv_heads, value_dim, key_dim]`."""
        factors = torch.zeros_like(self.weights)
        factors[:, tokens] = self.weights[:, tokens] if weighted else 1.0
        of_heads = torch.einsum("hk,hkv,hkd->hvd", factors, self.value, self.key)
        return of_heads.unflatten(0, (-1, self.heads_per_key)).mean(dim=1)


_attended: dict[int, Attended] = {}


def _textbook_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **arguments: Any
) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ scaling + mask) v, with the network's own mask; keeps last-token logits, visibility and queries."""
    scaling = arguments.get("scaling") or query.shape[-1] ** -0.5
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    logits = torch.einsum("bhqd,bhkd->bhqk", query, key) * scaling
    if cap := arguments.get("softcap"):
        logits = cap * torch.tanh(logits / cap)
    assert attention_mask is not None
    logits_and_sinks = logits + attention_mask
    if (sinks := arguments.get("s_aux")) is not None:
        logits_and_sinks = torch.cat([logits_and_sinks, sinks.view(1, -1, 1, 1).expand(*logits.shape[:3], 1)], -1)
    weights = logits_and_sinks.softmax(-1)[..., : logits.shape[-1]]
    _attended[module.layer_idx] = Attended(
        logits[0, :, -1], query[0, :, -1].flatten() * scaling, weights[0, :, -1], key[0], value[0], groups
    )
    return torch.einsum("bhqk,bhkd->bqhd", weights, value), weights


AttentionInterface.register("textbook", _textbook_attention)
AttentionMaskInterface.register("textbook", ALL_MASK_ATTENTION_FUNCTIONS["eager"])


# Scaled queries, keys and values `[heads, tokens, head_dim]` of these are read off their projections: they do not go
# through AttentionInterface. Their attention weights are those that they return.
QueryKeyValue = tuple[Tensor, Tensor, Tensor]


def _projected(module: Any, hidden: Tensor, heads: int) -> QueryKeyValue:
    query, key, value = (
        projection(hidden)[0].unflatten(-1, (heads, -1)).transpose(0, 1).clone()
        for projection in (module.q_proj, module.k_proj, module.v_proj)
    )
    return query, key, value


def _of_xglm(module: Any, hidden: Tensor, arguments: Any) -> QueryKeyValue:
    query, key, value = _projected(module, hidden, module.num_heads)
    return query * module.scaling, key, value


def _of_gpt_neo(module: Any, hidden: Tensor, arguments: Any) -> QueryKeyValue:
    return _projected(module, hidden, module.num_heads)


def _of_gptj(module: Any, hidden: Tensor, arguments: Any) -> QueryKeyValue:
    # of each head, the first dimensions turn in pairs of neighbours
    size, angle = (
        module.rotary_dim,
        arguments["position_ids"][0, :, None] * 10000.0 ** (-torch.arange(0, module.rotary_dim, 2) / module.rotary_dim),
    )
    turn = torch.polar(torch.ones_like(angle), angle)
    query, key, value = _projected(module, hidden, module.num_attention_heads)
    for vectors in (query, key):
        pairs = torch.view_as_complex(vectors[..., :size].reshape(*vectors.shape[:2], -1, 2))
        vectors[..., :size] = torch.view_as_real(pairs * turn).flatten(-2)
    return query * module.head_dim**-0.5, key, value


def _of_bloom(module: Any, hidden: Tensor, arguments: Any) -> QueryKeyValue:
    query, key, value = module._reshape(module.query_key_value(hidden))
    return query[0] * module.head_dim**-0.5, key[0], value[0]


def _of_falcon(module: Any, hidden: Tensor, arguments: Any) -> QueryKeyValue:
    query, key, value = (tensor.transpose(1, 2) for tensor in module._split_heads(module.query_key_value(hidden)))
    if module.config.new_decoder_architecture:  # which repeats each group's key and value
        shared = module.num_heads // module.num_kv_heads
        key, value = key[:, ::shared], value[:, ::shared]
    if arguments["alibi"] is None:
        query, key = apply_rotary_pos_emb(query, key, *arguments["position_embeddings"])
    return query[0] * module.head_dim**-0.5, key[0], value[0]


QUERY_KEY_VALUE = {"xglm": _of_xglm, "gpt_neo": _of_gpt_neo, "gptj": _of_gptj, "bloom": _of_bloom, "falcon": _of_falcon}


@contextmanager
def _watched(model: Model) -> Iterator[tuple[dict[int, Tensor], list[Tensor]]]:
    """Last-token attention outputs and streams per layer, and attention logits in `_attended`, of passes inside this
    block."""
    outputs: dict[int, Tensor] = {}
    streams: list[Tensor] = []
    handles = []

    kind = model.network.config.model_type

    def keep(layer: int) -> Any:
        def hook(module: Any, inputs: Any, arguments: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            # BLOOM's attention adds the residual stream, its second argument
            outputs[layer] = (hidden - inputs[1] if kind == "bloom" else hidden)[0, -1]
            if kind in QUERY_KEY_VALUE:
                query, *others = QUERY_KEY_VALUE[kind](module, arguments.get("hidden_states", *inputs[:1]), arguments)
                shared = len(query) // len(others[0])
                key, value = (tensor.repeat_interleave(shared, 0) for tensor in others)
                logits, last = torch.einsum("hd,hkd->hk", query[:, -1], key), query[:, -1].flatten()
                if output[1] is None:  # Falcon with ALiBi, which must not be asked for its weights
                    weights = (logits + arguments["alibi"].view_as(logits) * module.head_dim**-0.5).softmax(-1)
                else:
                    weights = output[1][0, :, -1]
                _attended[layer] = Attended(logits, last, weights, key, value, shared)

        return hook

    for layer, attention in enumerate(model.anatomy.attentions):
        handles.append(attention.register_forward_hook(keep(layer), with_kwargs=True))
    for block in model.anatomy.blocks:
        handles.append(
            block.register_forward_hook(
                lambda module, inputs, output: streams.append(
                    (output[0] if isinstance(output, tuple) else output)[0, -1]
                )
            )
        )
    before = model.network.config._attn_implementation
    if kind not in QUERY_KEY_VALUE:
        model.network.set_attn_implementation("textbook")
    try:
        yield outputs, streams
    finally:
        model.network.config._attn_implementation = before
        for handle in handles:
            handle.remove()


@torch.no_grad()
def one_by_one(model: Model, prompts: Prompts) -> Observation:
    """Everything that can be recorded, from the plain network."""
    size, longest = len(prompts.context), max(map(len, prompts.queries))
    shown = [token for span in prompts.demonstration_spans for token in range(*span)]
    records: list[dict[str, Tensor]] = []
    for query in prompts.queries:
        with _watched(model) as (outputs, streams):
            logits = _run(model, prompts, prompts.context + query)
            layers = [_attended[layer] for layer in range(len(outputs))]
        rows = torch.stack([layer.logits for layer in layers])
        own = list(range(size, size + len(query)))
        records.append(
            {
                "attention_output": torch.stack([outputs[layer] for layer in range(len(outputs))]),
                "attention_logits": rows[..., size:],
                "block_outputs": torch.stack(streams),
                "context_logits": rows[..., :size],
                "attention_weights": _padded(torch.stack([layer.weights for layer in layers]), size + longest),
                "rotated_query_vectors": torch.stack([layer.query for layer in layers]),
                "head_outputs": torch.stack(
                    [torch.einsum("hk,hkv->hv", layer.weights, layer.value) for layer in layers]
                ),
                "value_key_products": torch.stack([layer.products(own, weighted=False) for layer in layers]),
                "weighted_value_key_products": torch.stack([layer.products(own, weighted=True) for layer in layers]),
                "context_value_key_products": torch.stack([layer.products(shown, weighted=False) for layer in layers]),
                "weighted_context_value_key_products": torch.stack(
                    [layer.products(shown, weighted=True) for layer in layers]
                ),
                "next_token_log_probs": logits[prompts.answer_offset].log_softmax(-1),
                "label_log_probs": torch.stack(
                    [_score(model, prompts, query, candidate) for candidate in prompts.candidates]
                ),
            }
        )
    stacked = {
        name: torch.stack([record[name] for record in records]) for name in records[0] if name != "attention_logits"
    }
    stacked["context_value_key_products"] = stacked["context_value_key_products"][0]
    return Observation(
        attention_logits=[record["attention_logits"] for record in records], gold=torch.tensor(prompts.gold), **stacked
    )


def _padded(weights: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(weights, (0, width - weights.shape[-1]))


def _score(model: Model, prompts: Prompts, query: list[int], candidate: list[int]) -> Tensor:
    """Mean log-probability of the candidate's tokens, with the candidate written out in the prompt."""
    before = prompts.context + query[: len(query) + prompts.answer_offset + 1]
    log_probs = _run(model, prompts, before + candidate[:-1]).log_softmax(-1)[len(before) - 1 :]
    return log_probs.gather(1, torch.tensor(candidate)[:, None]).mean()


def _run(model: Model, prompts: Prompts, tokens: list[int]) -> Tensor:
    positions = torch.arange(len(tokens))
    positions[len(prompts.context) :] += prompts.first_query_position - len(prompts.context)
    # a network that takes no position_ids counts by itself
    arguments = {} if prompts.query_position is None else {"position_ids": positions[None]}
    # without a mask, transformers takes a jump in the positions for the start of another sequence
    everything = torch.ones(1, len(tokens), dtype=torch.long)
    ids = torch.tensor([tokens])
    if model.network.config.model_type in QUERY_KEY_VALUE and model.network.config._attn_implementation == "eager":
        arguments["output_attentions"] = True
    return model.network(input_ids=ids, attention_mask=everything, use_cache=False, **arguments).logits[0]


EVERYTHING = tuple(get_args(Extra))
RECORDED = (
    "attention_output",
    "attention_logits",
    "label_log_probs",
    *(extra for extra in EVERYTHING if extra != "query_vectors"),
)
"""Query vectors before rotary positions have a test of their own."""


def differences(observed: Observation, reference: Observation) -> dict[str, float]:
    """Per recorded field, the largest absolute difference over the largest absolute value of the reference."""
    result = {}
    for name in RECORDED:
        pair = [getattr(observation, name) for observation in (observed, reference)]
        if name == "attention_logits":
            pair = [torch.cat([row.flatten() for row in rows]) for rows in pair]
        mine, expected = pair
        assert mine.shape == expected.shape, name
        result[name] = ((mine - expected).abs().max() / expected.abs().max()).item()
    return result
