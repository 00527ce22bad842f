"""Untrained twins (Deutch 2024 §3.3): what is kept is kept bit for bit, and all else is drawn anew."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.conftest import CONFIGS
from torch import Tensor

from demograd.models import Model, find_anatomy
from demograd.models.untrained import untrained
from demograd.words import Weights

MakeModel = Callable[..., Model]
EACH_KIND = pytest.mark.parametrize("kind", sorted(CONFIGS))
EACH_WEIGHTS = pytest.mark.parametrize("weights", [weights for weights in Weights if weights != Weights.TRAINED])


def is_norm(name: str) -> bool:
    return "norm" in name or ".ln_" in name


def is_embedding(name: str) -> bool:
    """Tokens and learned positions, in and out."""
    names = (
        "embed_tokens",
        "word_embeddings.",
        "embed_positions",
        "embed_in",
        "embed_out",
        "lm_head",
        ".shared.",
        ".wte",
        ".wpe",
    )
    return any(part in name for part in names)


def parameters(network: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@EACH_WEIGHTS
@EACH_KIND
def test_what_is_kept_is_kept_bit_for_bit_and_the_rest_is_not(kind: str, weights: Any, random_model: MakeModel) -> None:
    """Kept by name here, by type there; the final norm and q/k norms are norms, which the released runs forgot."""
    trained = random_model(kind).network
    before = parameters(trained)
    fresh = parameters(untrained(trained, weights, seed=3))
    assert fresh.keys() == before.keys()
    copied = {
        name
        for name in before
        if (weights != "no_training" and is_norm(name)) or (weights == "trained_embeddings" and is_embedding(name))
    }
    for name in before:
        assert torch.equal(fresh[name], before[name]) == (name in copied), name
    if weights != "no_training":
        norms = [name for name in copied if is_norm(name)]
        # OLMo's norms have no parameters
        assert (len(norms) > 0) == (kind != "olmo")
        if kind in ("qwen3", "gemma3_text", "olmo2"):
            assert sum("q_norm" in name or "k_norm" in name for name in norms) == 6
        final = find_anatomy(trained).final_norm
        if final is not None and list(final.parameters()):
            (name,) = [name for name, module in trained.named_modules() if module is final]
            assert f"{name}.weight" in copied
    for name, parameter in trained.named_parameters():
        assert torch.equal(parameter, before[name]), "the trained network is not changed"


@EACH_KIND
def test_what_is_drawn_is_drawn_by_the_architectures_own_initialisation(kind: str, random_model: MakeModel) -> None:
    """Normal with the configuration's standard deviation; norms neutral, biases zero.

    GPT-OSS draws its sinks and the biases of its routers too.
    """
    trained = random_model(kind).network
    config = trained.config
    std = getattr(config, "initializer_range", None) or getattr(config, "init_std", 0.02)
    few: list[Tensor] = []  # four in a layer: only those of all layers together are enough to have a deviation
    for name, parameter in untrained(trained, Weights.NO_TRAINING, seed=0).named_parameters():
        if kind == "gpt_oss" and name.endswith(("self_attn.sinks", "mlp.router.bias")):
            few.append(parameter.detach())
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.dim() > 1 and not is_norm(name):
            # GPT-2 draws projections into the residual stream smaller, by √(2 × layers)
            assert 0.8 * std / 6**0.5 < parameter.std() < 1.2 * std, name
        else:
            assert parameter.unique().numel() == 1, name
    if kind == "gpt_oss":
        values = torch.cat(few)
        assert values.unique().numel() == len(values) == 3 * (4 + 4)
        assert 0.6 * std < values.std() < 1.4 * std


@EACH_KIND
def test_tied_embeddings_stay_tied(kind: str, random_model: MakeModel) -> None:
    trained = random_model(kind).network
    fresh = untrained(trained, Weights.TRAINED_EMBEDDINGS, seed=0)
    tied = [
        network.get_input_embeddings().weight is network.get_output_embeddings().weight for network in (trained, fresh)
    ]
    assert tied[0] == tied[1]


@EACH_WEIGHTS
def test_the_seed_says_which_weights(weights: Any, random_model: MakeModel) -> None:
    trained = random_model("qwen3").network
    state = torch.random.get_rng_state()
    first, again, other = (parameters(untrained(trained, weights, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    fresh = [name for name in first if not is_norm(name)]
    if weights == "trained_embeddings":
        fresh = [name for name in fresh if not is_embedding(name)]
    assert not any(torch.equal(first[name], other[name]) for name in fresh)
    assert torch.equal(torch.random.get_rng_state(), state), "nothing else that draws numbers is disturbed"


@EACH_KIND
def test_16_bit_weights_are_the_float32_ones_rounded(kind: str, random_model: MakeModel) -> None:
    """And nothing but weights is rounded: rotary frequencies of a 16-bit network are float32, or positions blur."""
    exact = untrained(random_model(kind).network, Weights.NORMS_ONLY, seed=0)
    half_trained = random_model(kind).network
    for parameter in half_trained.parameters():
        parameter.data = parameter.data.bfloat16()
    half = untrained(half_trained, Weights.NORMS_ONLY, seed=0)
    for name, value in exact.named_parameters():
        assert torch.equal(half.get_parameter(name), value.bfloat16()), name
    for name, buffer in half_trained.named_buffers():
        assert half.get_buffer(name).dtype == buffer.dtype
        assert torch.equal(half.get_buffer(name), buffer), name


def test_an_untrained_twin_is_ready_to_be_observed(random_model: MakeModel) -> None:
    trained = random_model("opt").network
    fresh = untrained(trained, Weights.NORMS_ONLY, seed=0)
    assert not fresh.training
    find_anatomy(fresh)
