"""What an intervention changes, packed and unpacked, is what Hugging Face's own pass gives prompt by prompt."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytest import MonkeyPatch
from torch import Tensor
from transformers import DynamicCache

from demograd.models import Intervention, Model, Patch
from demograd.observe import observe
from demograd.observe.self_check import Fit
from demograd.tasks.prompts import Prompts

MakeModel, MakePrompts = Callable[..., Model], Callable[..., Prompts]
LENGTH, PATCHED = 3, 1


def random_prefix(model: Model) -> list[tuple[Tensor, Tensor]]:
    config = model.network.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    generator = torch.Generator().manual_seed(1)
    shape = (2, 1, heads, LENGTH, 64 // config.num_attention_heads)
    return [tuple(torch.randn(shape, generator=generator).unbind()) for _ in range(3)]  # type: ignore[misc]


@torch.no_grad()
def plain_log_probs(model: Model, tokens: list[int], change: Intervention, place: int) -> tuple[Tensor, list[Tensor]]:
    """Of every next token; and the stream behind each block at `place`, where it is patched."""
    cache, streams = DynamicCache(), list[Tensor]()
    for layer, (key, value) in enumerate(change.prefix):
        cache.update(key, value, layer)
    network = model.network
    blocks = network.transformer.h if hasattr(network, "transformer") else network.model.layers

    def hook_of(layer: int) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            stream = (output[0] if isinstance(output, tuple) else output)[0]
            if layer in change.patches:
                patch = change.patches[layer]
                stream[place] = patch.share * stream[place] + patch.vector
            streams.append(stream[place].clone())

        return hook

    handles = [block.register_forward_hook(hook_of(layer)) for layer, block in enumerate(blocks)]
    positions = torch.arange(len(tokens))[None]
    arguments = {"past_key_values": cache} if change.prefix else {"use_cache": False}
    logits = network(input_ids=torch.tensor([tokens]), position_ids=positions, **arguments).logits[0]
    for handle in handles:
        handle.remove()
    return logits.log_softmax(-1), streams


def plain_scores(model: Model, prompts: Prompts, change: Intervention) -> tuple[Tensor, Tensor]:
    """Label log-probabilities, and streams at the last token."""
    scores, streams = [], []
    for query in prompts.queries:
        before = prompts.context + query
        row = []
        for candidate in prompts.candidates:
            log_probs, at_last = plain_log_probs(model, before + candidate[:-1], change, len(before) - 1)
            row.append(log_probs[len(before) - 1 :].gather(1, torch.tensor(candidate)[:, None]).mean())
        scores.append(torch.stack(row))
        streams.append(torch.stack(at_last))
    return torch.stack(scores), torch.stack(streams)


def changes_of(model: Model) -> dict[str, Intervention]:
    vector = torch.randn(64, generator=torch.Generator().manual_seed(2))
    return {
        "prefix": Intervention(prefix=random_prefix(model)),
        "in its place": Intervention(patches={PATCHED: Patch(vector, share=0.0)}),
        "added": Intervention(patches={0: Patch(vector), 2: Patch(-vector, share=0.5)}),
    }


@pytest.mark.parametrize("name", ["prefix", "in its place", "added"])
@pytest.mark.parametrize("way", ["packed", "unpacked"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neo"])
def test_it_is_what_the_plain_network_computes(
    kind: str, name: str, way: Fit, random_model: MakeModel, random_prompts: MakePrompts, monkeypatch: MonkeyPatch
) -> None:
    """With answers of several tokens: they continue behind what was patched."""
    model, prompts = random_model(kind), random_prompts(context=9, lengths=(4, 2, 3))
    monkeypatch.setattr(importlib.import_module("demograd.observe.observe"), "way_at_length", lambda *_: way)
    change = changes_of(model)[name]
    scores, streams = plain_scores(model, prompts, change)
    observed = observe(replace(model, intervention=change), prompts, extras=["block_outputs"])
    torch.testing.assert_close(observed.label_log_probs, scores, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(observed.block_outputs, streams, rtol=1e-4, atol=1e-4)
    assert (observed.label_log_probs - observe(model, prompts).label_log_probs).abs().max() > 0.01
    assert bool(observed.notes) == (way == "unpacked")
    if name == "in its place":
        vector = change.patches[PATCHED].vector
        assert observed.block_outputs is not None
        assert torch.equal(observed.block_outputs[:, PATCHED], vector.expand(3, -1))


def test_the_place_is_where_the_answer_is_predicted(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    """Where a token of the answer is appended and recorded, the token before it is patched."""
    model = random_model("llama")
    change = changes_of(model)["added"]
    plain = random_prompts(context=9, lengths=(4, 2, 3))
    appended = replace(plain, queries=[[*query, 5] for query in plain.queries], answer_offset=-2)
    scores = [observe(replace(model, intervention=change), prompts).label_log_probs for prompts in (plain, appended)]
    torch.testing.assert_close(*scores)


def test_attention_is_recorded_without_the_prefix(random_model: MakeModel, random_prompts: MakePrompts) -> None:
    """Shapes and keys are those of a pass without one, and weights add up to one."""
    prompts = random_prompts(context=9, lengths=(4, 2, 3))
    for kind in ("llama", "gpt_neo"):
        model = random_model(kind)
        extras = ["attention_weights", "context_logits", "context_value_key_products"]
        behind = observe(replace(model, intervention=changes_of(model)["prefix"]), prompts, extras=extras)
        without = observe(model, prompts, extras=extras)
        assert behind.attention_weights is not None and without.attention_weights is not None
        assert behind.attention_weights.shape == without.attention_weights.shape
        torch.testing.assert_close(behind.attention_weights.sum(dim=-1), torch.ones(3, 3, 4))
        assert behind.context_value_key_products is not None and without.context_value_key_products is not None
        # the first layer's keys do not know of it
        torch.testing.assert_close(behind.context_value_key_products[0], without.context_value_key_products[0])
        for mine, plain in zip(behind.attention_logits, without.attention_logits, strict=True):
            torch.testing.assert_close(mine[0], plain[0])
            assert not torch.allclose(mine[2], plain[2])
