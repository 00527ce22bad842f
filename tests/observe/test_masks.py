"""Windows and chunks that only a network's masks know; and differences that only long prompts show."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.conftest import GROUPED, as_model, random_network
from torch import Tensor

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe import observe
from demograd.observe.masks import Mask, attention_masks
from demograd.tasks.prompts import Prompts

MakePrompts = Callable[..., Prompts]

EXPERTS = {**GROUPED, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "num_experts": 4, "num_local_experts": 4}
WINDOW, ALL = Mask(window=7), Mask()
KINDS: dict[str, tuple[dict[str, Any], list[Mask]]] = {
    "qwen2_moe": (
        {
            **EXPERTS,
            "use_sliding_window": True,
            "sliding_window": 7,
            "shared_expert_intermediate_size": 32,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        [WINDOW, ALL, WINDOW],
    ),
    "phimoe": ({**EXPERTS, "sliding_window": 7}, [WINDOW] * 3),
    "mixtral": ({**EXPERTS, "sliding_window": 7}, [WINDOW] * 3),
    "llama": (GROUPED, [ALL] * 3),
}


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_each_layers_mask_is_known(kind: str) -> None:
    settings, expected = KINDS[kind]
    assert attention_masks(as_model(random_network(kind, settings)).anatomy) == expected


def test_chunks_are_known(random_model: Callable[..., Model]) -> None:
    chunks = Mask(chunk=7)
    assert attention_masks(random_model("llama4_text").anatomy) == [chunks, ALL, chunks]


def own_log_probs(model: Model, prompts: Prompts) -> Tensor:
    with torch.no_grad():
        ids = [torch.tensor([prompts.context + query]) for query in prompts.queries]
        return torch.stack(
            [model.network(input_ids=tokens, use_cache=False).logits[0, -1] for tokens in ids]
        ).log_softmax(-1)


def test_behind_a_context_longer_than_the_window_it_is_what_the_network_computes(
    kind: str, random_prompts: MakePrompts
) -> None:
    model, prompts = as_model(random_network(kind, KINDS[kind][0])), random_prompts(context=31)
    observed = observe(model, prompts, extras=["next_token_log_probs"], pack_tokens=24)
    assert observed.notes == ()
    torch.testing.assert_close(observed.next_token_log_probs, own_log_probs(model, prompts), rtol=0, atol=1e-4)


def test_attention_to_both_sides_is_refused(random_prompts: MakePrompts) -> None:
    model = as_model(random_network("llama", {**GROUPED, "is_causal": False}))
    with pytest.raises(UserError, match="mask of llama is not one that demograd knows"):
        observe(model, random_prompts())


def test_what_a_long_prompt_shows_is_found_there(
    random_model: Callable[..., Model], random_prompts: MakePrompts
) -> None:
    """Llama 4 counts tokens itself to sharpen attention, from token 25 on: only until there packing fits it."""
    model = random_model("llama4_text", floor_scale=25, attn_scale=2.0)
    assert observe(model, random_prompts(context=12)).notes == ()
    prompts = random_prompts(context=31)
    observed = observe(model, prompts, extras=["next_token_log_probs"])
    assert "packing does not fit" in " ".join(observed.notes)
    torch.testing.assert_close(observed.next_token_log_probs, own_log_probs(model, prompts), rtol=0, atol=1e-4)


def test_what_fits_no_way_at_this_length_is_refused(
    random_model: Callable[..., Model], random_prompts: MakePrompts
) -> None:
    """Positions that turn faster in a pass of more than 25 tokens: a context of fewer tokens cannot serve it."""
    model = random_model("llama")

    def turn(module: Any, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, positions = inputs
        return hidden, positions * (2 if int(positions.max()) > 25 else 1)

    rotary = model.network.model.rotary_emb
    rotary.register_forward_pre_hook(
        lambda module, args, arguments: (
            args,
            {**arguments, "position_ids": turn(module, (args[0], arguments["position_ids"]))[1]},
        ),
        with_kwargs=True,
    )
    assert observe(model, random_prompts(context=12)).notes == ()
    with pytest.raises(UserError, match="With 31 tokens"):
        observe(model, random_prompts(context=22))
