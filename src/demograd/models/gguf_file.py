"""What a GGUF file says that transformers passes over: it would be another network, in silence."""

from pathlib import Path
from typing import Any

from demograd.errors import UserError

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
    """Of the layers with full attention, where others have their own."""
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    return rope.get("rope_theta", getattr(config, "rope_theta", None))


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
