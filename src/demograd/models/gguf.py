"""GGUF files: dequantised once into the user's cache, and compared with the network that was made of them."""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from demograd.errors import UserError
from demograd.models.checkpoint import (
    check_finite,
    check_loaded_weights,
    say_what_is_tied,
)
from demograd.models.load_errors import loading
from demograd.models.names import expanded
from demograd.models.packaged import BUILT_IN, installed_parts, sha256, write_joined
from demograd.models.tokenizer import tokenizer_of
from demograd.paths import is_file

MODELS = "DEMOGRAD_MODELS"
"""The environment variable that names another folder for unpacked GGUF models."""


_RULES = 2
"""Raised when a GGUF file is read in another way than before."""


def gguf_parts(name: str) -> list[Path]:
    """The files of a built-in model, or the one that is named; none where it is no GGUF file."""
    if name in BUILT_IN:
        return installed_parts(name)
    path = expanded(name)
    return [path] if is_file(path) and path.suffix.lower() == ".gguf" else []


def dequantised_folder(parts: list[Path]) -> str:
    """The folder of the dequantised model: that takes a while, so it is kept in the user's cache as safetensors."""
    folder = cache_folder(parts)
    if not is_file(folder / "config.json"):
        _dequantise_into(parts, folder)
    return str(folder)


def cache_folder(parts: list[Path]) -> Path:
    """Its name says by which rules it was made: one of others (of files without some tensors) is not read."""
    return models_folder() / f"{parts[0].stem}-{sha256(parts)[:16]}-{_RULES}"


def models_folder() -> Path:
    """The folder of all of them: what MODELS says, or this platform's place for caches."""
    folder = os.environ.get(MODELS)
    return expanded(folder) if folder else user_cache_path("demograd") / "models"


def _dequantise_into(parts: list[Path], folder: Path) -> None:
    """
    Raises:
        UserError: nothing can be written there, or the disk is full; the file is no whole model.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = tempfile.TemporaryDirectory(dir=folder.parent)
    except OSError as error:
        raise _not_writable(folder.parent, error) from error
    with unfinished as place:
        try:
            _dequantise_at(Path(place), parts, folder)
        except (OSError, SafetensorError) as error:
            raise _not_writable(folder.parent, error) from error


def _not_writable(folder: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"A GGUF model is unpacked once, and {folder}, where it is kept, cannot be written ({reason})",
        "a folder of yours on a disk with room for the model in 32 bit",
        f"Name one in the environment variable {MODELS}, or mend that folder",
    )


def _dequantise_at(place: Path, parts: list[Path], folder: Path) -> None:
    """Unpack into `place`, a folder for the time being, and move what is whole to `folder`."""
    file = parts[0] if len(parts) == 1 else write_joined(parts, place / "whole.gguf")

    def load() -> tuple[Any, Any]:
        tokenizer, _ = tokenizer_of(str(file.parent), {"gguf_file": file.name})
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
        )
        network, loading_info = loaded
        check_loaded_weights(network, loading_info)
        return network, tokenizer

    network, tokenizer = loading(str(file), load)
    check_is_read_whole(file, network)
    check_finite(network, file.name, "float32")
    say_what_is_tied(network)
    # while this record stands, transformers takes the network for quantised and refuses to save it
    del network.config.quantization_config
    network.is_quantized = False
    network.hf_quantizer = None
    network.save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    try:
        (place / "model").rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster
            raise


_NO_CHANGE = {
    "rope.scaling.factor": (0.0, 1.0),
    "attention.causal": (True,),
    "logit_scale": (1.0,),
    "attention.clamp_kqv": (0.0,),
    "expert_weights_scale": (1.0,),
    "rope.scaling.attn_factor": (1.0,),
}
"""Values of a header's keys under which a network computes what it computes without them."""
_CHANGING = ("rope.scaling.", "softcapping", "_scale", "attention.causal", "clamp_kqv", "max_alibi_bias", "freq_base")
"""Keys of a header that change what a network computes, by parts of their names."""


def check_is_read_whole(file: Path, network: Any) -> None:
    """Compare a GGUF file's header with the network that was made of it.

    Raises:
        UserError: it has tensors that the network has no place for, or a setting that is not in its configuration.
    """
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, tensors = read_gguf_metadata(str(file))
    architecture = str(metadata["general.architecture"])
    if unread := _unread_tensors(architecture, tensors, network):
        others = f", and {len(unread) - 1} others" if unread[1:] else ""
        raise _passed_over(file, f"its tensor {unread[0]}{others}")
    prefix = f"{architecture}."
    scaling = f"{prefix}rope.scaling."
    if metadata.get(f"{scaling}type") == "none":  # what stands beside it scales nothing
        metadata = {key: value for key, value in metadata.items() if not key.startswith(scaling)}
    for key, value in metadata.items():
        suffix = key.removeprefix(prefix)
        if key.startswith(prefix) and not _agrees(suffix, value, network.config):
            raise _passed_over(file, f"{key} = {str(value)[:60]}")


def _passed_over(file: Path, part: str) -> UserError:
    return UserError(
        f"transformers passes over a part of {file.name}: {part}",
        "a GGUF file that is read whole",
        "Name the model that it was converted from (a folder of save_pretrained, or a hub name)",
    )


def _unread_tensors(architecture: str, tensors: tuple[str, ...], network: Any) -> list[str]:
    """Tensors of the file that are no parameter of the network by the gguf library's table of names."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    arch = next((number for number, name in MODEL_ARCH_NAMES.items() if name == architecture), None)
    if arch is None:  # transformers reads no such file
        return []
    names = get_tensor_name_map(arch, network.config.num_hidden_layers)
    read = set()
    for parameter in network.state_dict():
        stem, _, kind = parameter.rpartition(".")
        while stem:  # a base model may have been converted alone, without the prefix
            if (tensor_name := names.get_name(stem)) is not None:
                read.add(f"{tensor_name}.{kind}")
                break
            _, _, stem = stem.partition(".")
    has_experts = any(".experts." in name for name in network.state_dict())  # fused there, apart in the file
    return [name for name in tensors if name not in read and not (has_experts and "_exps." in name)]


def _agrees(suffix: str, value: Any, config: Any) -> bool:
    """Whether a setting of the header is in the configuration, or changes nothing."""
    if not isinstance(value, list) and value in _NO_CHANGE.get(suffix, ()):
        return True
    in_config = {
        "rope.freq_base": _rope_theta(config),
        "attention.head_count": getattr(config, "num_attention_heads", None),
        "attention.scale": getattr(config, "attention_multiplier", None) or float(_head_dim(config)) ** -0.5,
        "attention.sliding_window": getattr(config, "sliding_window", None),
        "attention.key_length": _head_dim(config),
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
        "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
        "logit_scale": getattr(config, "logit_scale", None),
    }
    if suffix in in_config:
        read = in_config[suffix]
        if isinstance(value, list):  # layer by layer, where a configuration has one number
            return read is not None and all(_agrees(suffix, number, config) for number in value)
        return read is not None and abs(float(read) - float(value)) <= 1e-5 * abs(value)
    return not any(part in suffix for part in _CHANGING)


def _rope_theta(config: Any) -> float | None:
    """The base of the rotary frequencies of the layers with full attention, where others have their own."""
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    return rope.get("rope_theta", getattr(config, "rope_theta", None))


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
