"""Function vectors: heads' outputs through output projections, and the effects by which heads are chosen."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import demonstrations
from tests.learn.rivals.test_task_vector import PROMPTS, left_out, streams_behind
from torch import Tensor

from demograd import observe
from demograd.learn import fine_tuned
from demograd.learn.rivals.in_context import added_to_stream, indirect_effects
from demograd.learn.rivals.vectors import FunctionVector
from demograd.models import Model
from demograd.tasks.prompts import Prompts


def projections(model: Model) -> list[Any]:
    return [
        next(getattr(attention, name) for name in ("o_proj", "c_proj", "out_proj") if hasattr(attention, name))
        for attention in model.anatomy.attentions
    ]


def matrix(projection: Any) -> Tensor:
    """`[outputs, inputs]`"""
    weight: Tensor = projection.weight.detach()
    return weight if isinstance(projection, torch.nn.Linear) else weight.T


@contextmanager
def heads_at_last(model: Model, change: dict[int, Tensor] | None = None) -> Iterator[list[Tensor]]:
    """What enters each output projection at the last token `[heads, 16]`, with `change` added in these layers."""
    outputs: list[Tensor] = []

    def hook_of(layer: int) -> Any:
        def hook(module: Any, inputs: Any) -> Any:
            (hidden,) = inputs
            outputs.append(hidden[0, -1].detach().clone().unflatten(0, (4, 16)))
            if change and layer in change:
                hidden = hidden.clone()
                hidden[0, -1] += change[layer].flatten()
            return (hidden,)

        return hook

    handles = [module.register_forward_pre_hook(hook_of(layer)) for layer, module in enumerate(projections(model))]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_heads_go_through_the_output_projection_without_its_bias(kind: str, random_model: MakeModel) -> None:
    model = random_model(kind)
    outputs = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(3))
    expected = torch.stack(
        [matrix(module) @ outputs[layer].flatten() for layer, module in enumerate(projections(model))]
    )
    assert any(module.bias is not None and module.bias.any() for module in projections(model))
    added = added_to_stream(model, outputs, torch.ones(3, 4, dtype=torch.bool))
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "norm_before_mlp", "head_dim"),
    [
        ("gemma3_text", "pre_feedforward_layernorm", 24),
        ("granite", "post_attention_layernorm", 16),
        ("hyperclovax normed", "post_attention_layernorm", 16),
    ],
)
def test_the_parts_that_heads_add_make_up_what_a_block_adds(
    kind: str, norm_before_mlp: str, head_dim: int, random_model: MakeModel
) -> None:
    """Behind the norm or the multiplier between projection and stream: what enters the next norm, less the block's
    input."""
    model = random_model(kind)
    heads, before, behind, handles = list[Tensor](), list[Tensor](), list[Tensor](), list[Any]()
    for layer, (block, projection) in enumerate(zip(model.anatomy.blocks, projections(model), strict=True)):
        with torch.no_grad():
            projection.bias = None
            for norm in model.anatomy.post_attention_norms[layer : layer + 1]:
                norm.weight += torch.randn(64, generator=torch.Generator().manual_seed(5))
        for module, last_tokens in (
            (block, before),
            (projection, heads),
            (block.get_submodule(norm_before_mlp), behind),
        ):
            handles.append(module.register_forward_pre_hook(partial(_keep_last, last_tokens)))
    with torch.no_grad():
        model.network(input_ids=torch.tensor([[0, 21, 22, 5, 4]]), use_cache=False)
    for handle in handles:
        handle.remove()
    outputs = torch.stack(heads).unflatten(1, (4, head_dim))
    chosen = torch.tensor([[True, False, False, True], [False] * 4, [True] * 4])
    added, rest = (added_to_stream(model, outputs, part) for part in (chosen, ~chosen))
    torch.testing.assert_close(added + rest, torch.stack(behind) - torch.stack(before), rtol=1e-4, atol=1e-5)
    assert not added[1].any() and not rest[2].any()


def _keep_last(last_tokens: list[Tensor], module: Any, inputs: tuple[Tensor, ...]) -> None:
    last_tokens.append(inputs[0][0, -1])


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mbart"])
def test_an_indirect_effect_is_the_slope_towards_the_mean(kind: str, random_model: MakeModel) -> None:
    """By finite differences of Hugging Face's own log p, as a head's last-token output moves.

    In 64 bit, but for llama's norms: smaller steps would drown in their rounding.
    """
    model, exact = random_model(kind), random_model(kind, dtype=torch.float64)
    mean = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(4))
    prompts = Prompts([0, 21, 22, 5, 4], [[30, 31, 32]], [[6, 7], [5]], [0])
    effects = indirect_effects(model, prompts, mean)
    ids = torch.tensor([prompts.context + prompts.queries[0]])

    @torch.no_grad()
    def log_prob(change: dict[int, Tensor]) -> tuple[float, list[Tensor]]:
        with heads_at_last(exact, change) as heads:
            logits = exact.network(input_ids=ids, use_cache=False).logits[0, -1]
        return float(logits.log_softmax(-1)[6]), heads

    _, own = log_prob({})
    for layer in range(3):
        for head in range(4):
            step = torch.zeros(4, 16, dtype=torch.float64)
            step[head] = 1e-3 * (mean[layer, head].double() - own[layer][head])
            slope = (log_prob({layer: step})[0] - log_prob({layer: -step})[0]) / 2e-3
            assert float(effects[layer, head]) == pytest.approx(slope, rel=5e-3, abs=2e-3)
    assert effects.abs().max() > 0.1


def test_the_vector_is_the_sum_of_the_mean_heads_at_its_layer(random_model: MakeModel) -> None:
    """All heads, so that it does not matter which are chosen; added at a third of the depth."""
    model, sequences = random_model("llama"), demonstrations(4, 3, 5)
    before = bits(model.network)
    of_prompts = []
    for number in range(3):
        with torch.no_grad(), heads_at_last(model) as heads:
            model.network(input_ids=torch.tensor([left_out(sequences, number)]), use_cache=False)
        of_prompts.append(torch.stack(heads))
    mean = torch.stack(of_prompts).mean(dim=0)
    vector = sum(matrix(module) @ mean[layer].flatten() for layer, module in enumerate(projections(model)))
    assert isinstance(vector, Tensor)
    with fine_tuned(model, sequences, FunctionVector(learning_rate=2.0, heads=12)) as tuned:
        streams = observe(tuned, PROMPTS, extras=["block_outputs"]).block_outputs
    assert streams is not None
    plain = streams_behind(model, [0, 11, 12, 13])
    torch.testing.assert_close(streams[0, 0], plain[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(streams[0, 1], plain[1] + 2 * vector, rtol=1e-4, atol=1e-3)
    assert_as_before(model.network, before)


def test_the_heads_with_the_largest_effects_are_chosen(
    random_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of given effects, the two largest: not those of the largest size."""
    model, sequences = random_model("llama"), demonstrations(4, 3)
    effects = torch.zeros(3, 4)
    effects[2, 1], effects[0, 3], effects[1, 1] = 0.5, 0.2, -9.0
    monkeypatch.setattr("demograd.learn.rivals.in_context.indirect_effects", lambda *_: effects)
    of_prompts = []
    for number in range(2):
        with torch.no_grad(), heads_at_last(model) as heads:
            model.network(input_ids=torch.tensor([left_out(sequences, number)]), use_cache=False)
        of_prompts.append(torch.stack(heads))
    mean = torch.stack(of_prompts).mean(dim=0)
    vector = torch.zeros(64)
    for layer, head in ((2, 1), (0, 3)):
        vector += matrix(projections(model)[layer])[:, 16 * head : 16 * head + 16] @ mean[layer, head]
    with fine_tuned(model, sequences, FunctionVector(learning_rate=1.0, heads=2, layer=0)) as tuned:
        assert tuned.intervention is not None
        (patch,) = tuned.intervention.patches.values()
    assert patch.share == 1
    torch.testing.assert_close(patch.vector, vector, rtol=1e-4, atol=1e-4)


def test_shuffled_answers_stay_those_of_the_others(random_model: MakeModel) -> None:
    """Effects are measured where the prompt shows texts with one another's answers, and the query is the same."""
    from demograd.learn.rivals.in_context import left_out_prompts
    from demograd.learn.step import Training

    sequences = demonstrations(4, 3, 5, 6, 4, 3)
    training = Training(random_model("llama"), [], sequences, FunctionVector(learning_rate=1.0), lambda steps: None)
    plain = left_out_prompts(training, 4)
    shuffled = left_out_prompts(training, 4, torch.Generator().manual_seed(0))
    assert [prompts.queries for prompts in plain] == [prompts.queries for prompts in shuffled]
    assert [prompts.gold for prompts in plain] == [prompts.gold for prompts in shuffled] == [[0], [1], [0], [1]]
    assert [prompts.context + prompts.queries[0] for prompts in plain] == [left_out(sequences, n) for n in range(4)]
    assert all(sorted(a.context) == sorted(b.context) for a, b in zip(plain, shuffled, strict=True))
    assert any(a.context != b.context for a, b in zip(plain, shuffled, strict=True))
