"""Small networks with random weights: one per architecture, and the network of the parity fixture."""

import os

# no test may ask a hub; set before anything imports transformers
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["DEMOGRAD_CACHE"] = ""  # what another test or run has measured is measured again

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from jaxtyping import config as shapes
from jaxtyping import install_import_hook
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, XGLMConfig, XGLMForCausalLM


def _modules_with_shapes() -> list[str]:
    """The modules of demograd whose signatures say shapes; the other modules' types are mypy's."""
    package = importlib.util.find_spec("demograd")
    assert package is not None
    assert package.origin is not None
    root = Path(package.origin).parent
    with_shapes = [file for file in root.rglob("*.py") if "jaxtyping import" in file.read_text(encoding="utf-8")]
    return [".".join(("demograd", *file.relative_to(root).with_suffix("").parts)) for file in sorted(with_shapes)]


install_import_hook(_modules_with_shapes(), "beartype.beartype")
ROOMS_WITH_SHAPES = {"test_start_up.py", "learn", "metrics", "models", "observe", "parity", "statistics", "synthetic"}
"""Where in the tests all calls are checked. A whole run takes 1.6 times as long with it, and calls the same
functions on the same kinds of tensors: tests of runs, pages and commands go without."""

from demograd.models import Model, find_anatomy  # noqa: E402 (what is imported before is not checked)

# The same examples in every run, on every machine. `--hypothesis-profile=search` looks for new ones, and for twenty
# times as many; what it finds is pinned with @example beside the test.
settings.register_profile("default", derandomize=True, database=None, deadline=None)
settings.register_profile("search", derandomize=False, max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("default")

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = 97

_ROPE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
_GROUPED = {**_ROPE, "num_key_value_heads": 2}
GROUPED = _GROUPED
_WINDOWED = {**_GROUPED, "sliding_window": 7}
_GEMMA = {**_WINDOWED, "head_dim": 24, "query_pre_attn_scalar": 20}
_BART = {
    "d_model": 64,
    "decoder_layers": 3,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 96,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "is_decoder": True,
    "is_encoder_decoder": False,
    "scale_embedding": True,
}

_FALCON = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_hidden_size": 96}
_HYPERCLOVAX = {
    **_GROUPED,
    "attention_multiplier": 0.3,
    "residual_multiplier": 0.5,
    "logits_scaling": 2.0,
    "embedding_multiplier": 3.0,
}

# What makes each architecture special is switched on, and small enough to matter in a prompt of 20 tokens. A variant of
# an architecture has its name and a word more.
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**_GROUPED, "attention_bias": True},
    "mistral": _WINDOWED,
    "qwen2": {**_WINDOWED, "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {**_GROUPED, "head_dim": 24},
    "gemma": {**_ROPE, "num_key_value_heads": 1, "head_dim": 24},
    "gemma2": {**_GEMMA, "attn_logit_softcapping": 10.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {**_GEMMA, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "granite": {
        **_GROUPED,
        "attention_multiplier": 0.3,
        "residual_multiplier": 0.5,
        "logits_scaling": 2.0,
        "embedding_multiplier": 3.0,
    },
    "cohere": {**_GROUPED, "logit_scale": 0.25, "use_qk_norm": True},
    "olmo": {**_GROUPED, "clip_qkv": 1.5},
    "olmo2": _GROUPED,
    "smollm3": {**_WINDOWED, "use_sliding_window": True, "no_rope_layers": [1, 0, 1]},
    "stablelm": {**_GROUPED, "use_qkv_bias": True, "qk_layernorm": True, "partial_rotary_factor": 0.5},
    "starcoder2": {**_WINDOWED, "use_bias": True},
    "phi": {**_GROUPED, "qk_layernorm": True, "partial_rotary_factor": 0.5},
    "phi3": _WINDOWED,
    "opt": {
        "hidden_size": 64,
        "ffn_dim": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
        "do_layer_norm_before": True,
    },
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4},
    "gpt_neox": {**_ROPE, "rotary_pct": 0.5},
    "gpt_oss": {**_WINDOWED, "head_dim": 24, "num_local_experts": 4, "num_experts_per_tok": 2},
    "hyperclovax": {**_HYPERCLOVAX, "use_post_norm": False},
    "hyperclovax normed": {**_HYPERCLOVAX, "use_post_norm": True},
    "llama4_text": {
        **_GROUPED,
        "head_dim": 16,
        "attention_chunk_size": 7,
        "no_rope_layers": [1, 0, 1],
        "num_local_experts": 2,
        "intermediate_size_mlp": 96,
        "interleave_moe_layer_step": 2,
    },
    "xglm": {"d_model": 64, "ffn_dim": 96, "num_layers": 3, "attention_heads": 4},
    "gptj": {"n_embd": 64, "n_layer": 3, "n_head": 4, "rotary_dim": 8},
    "gpt_neo": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_layers": 3,
        "num_heads": 4,
        "window_size": 7,
        "attention_types": [[["local", "global", "local"], 1]],
    },
    "bloom": {"hidden_size": 64, "n_layer": 3, "n_head": 4},
    # Falcon 7B shares one key head, 40B has groups, and the RefinedWeb models have neither but ALiBi
    "falcon": {**_FALCON, "multi_query": True, "bias": True},
    "falcon grouped": {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon alibi": {**_FALCON, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    "bart": _BART,
    "mbart": _BART,
}


def random_network(
    kind: str,
    config: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Any:
    """A small network of this architecture whose every weight is drawn anew, wide enough that attention is not flat.

    `config` stands for an architecture of no row.
    """
    settings = {"vocab_size": VOCABULARY, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2} | (
        config or CONFIGS[kind]
    )
    if kind == "bloom":  # ALiBi has no end, but the hub's configurations say how long sequences were in training
        settings["seq_length"] = 128
    elif kind in ("gpt2", "gptj"):
        settings["n_positions"] = 128
    else:
        settings["max_position_embeddings"] = 128
    full_config = AutoConfig.for_model(kind.split()[0], **settings | changes)
    # transformers' eager Falcon adds ALiBi twice: in its mask, and once more
    attention = "sdpa" if kind == "falcon alibi" else "eager"
    network = AutoModelForCausalLM.from_config(full_config, attn_implementation=attention).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(network.named_parameters()):
        noise = 0.2 * torch.randn(parameter.shape, generator=generator)
        is_norm = parameter.dim() == 1 and name.endswith("weight")
        parameter.copy_(noise + 1 if is_norm else noise)
    return network.to(dtype)


def as_model(network: Any, dtype: str = "float32") -> Model:
    """What `load_model` makes of a network, without files and a tokenizer: below tasks all is token ids."""
    return Model(network.config.model_type, network, None, find_anatomy(network), dtype=dtype)


LONG_FILES = (
    "plan/test_plan.py",
    "tests/test_errors.py",
    "report/test_page.py",
    "learn/test_lockstep.py",
    "report/test_page_in_a_browser.py",
    "workers/test_failures.py",
    "study/test_run.py",
    "study/test_presets.py",
    "study/test_matching.py",
    "workers/test_ray.py",
)
"""Files whose tests take longest: begun last, one of them would keep the other cores waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: with `--no-loadscope-reorder`, pytest-xdist hands files out in this order."""
    place = {name: number for number, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: place.get("/".join(item.path.parts[-2:]), len(place)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Small networks gain nothing from a second thread, and lose much where other work shares the machine; shapes are
    checked in the rooms that have them.

    Before any fixture, also those of a whole session: with another number of threads, sums round differently.
    """
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    shapes.update("jaxtyping_disable", room not in ROOMS_WITH_SHAPES)
    torch.set_num_threads(2 if item.get_closest_marker("slow") else 1)


@pytest.fixture(scope="session")
def random_model() -> Callable[..., Model]:
    """Make a small model of an architecture by name; keywords: `seed`, and changes to its configuration."""
    return lambda kind, **settings: as_model(random_network(kind, **settings))


@pytest.fixture(scope="session")
def golden_network() -> Any:
    """The fixture's network: fairseq's decoder is Hugging Face's XGLM under other names."""
    golden = json.loads((GOLDEN / "config.json").read_text())
    config = XGLMConfig(
        vocab_size=golden["vocab"],
        d_model=golden["dim"],
        ffn_dim=golden["ffn"],
        num_layers=golden["layers"],
        attention_heads=golden["heads"],
        activation_function="gelu",
        scale_embedding=True,
        tie_word_embeddings=True,
        bos_token_id=golden["bos_id"],
        pad_token_id=golden["pad_id"],
        eos_token_id=golden["eos_id"],
    )
    network = XGLMForCausalLM(config).eval().requires_grad_(False)
    prefix = "decoder."
    weights = {
        "model." + name.removeprefix(prefix): tensor
        for name, tensor in load_file(GOLDEN / "weights.safetensors").items()
        if name.startswith(prefix)
    }
    missing, _ = network.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"], "only what is tied to the embeddings may be missing"
    return network


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # what was read may still be mapped
