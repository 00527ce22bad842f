"""Whether a checkpoint is a causal language model that is read whole: its configuration, its files, its weights."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from demograd.errors import UserError

DEQUANTISED = ("fp8", "mxfp8", "mxfp4")
"""Ways of quantisation whose weights transformers turns into ordinary ones while it loads them, on any device."""
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NO_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin", "scaler.bin")
"""What training leaves beside a checkpoint under a name like that of weights."""
_MOST_SHOWN = 3
"""Files that a message names before it counts the others."""


def check_configuration(config: Any) -> str:
    """A note on a quantisation that the configuration records, which is undone at loading; empty where there is none.

    Args:
        config: of the whole model; a quantisation that can be undone is marked in it, so that it is.

    Raises:
        UserError: it is of no causal language model, or of one that is quantised in a way that is not undone here.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"It is an encoder–decoder ({config.model_type}), and its decoder alone is another model",
            _A_CAUSAL_MODEL,
            "Name one of those",
        )
    saved_as = [name for name in getattr(config, "architectures", None) or [] if isinstance(name, str)]
    if saved_as and all(map(_is_of_another_kind, saved_as)):
        raise UserError(
            f"It was saved as {saved_as[0]}, which is no causal language model", _A_CAUSAL_MODEL, "Name one of those"
        )
    return _undo_quantisation(config)


_A_CAUSAL_MODEL = "a causal language model: a decoder that predicts the next token (GPT-2, Llama, Qwen, …)"


def _is_of_another_kind(saved_as: str) -> bool:
    """`BertForMaskedLM`, `LlamaForSequenceClassification`; a base model (`LlamaModel`) is judged by its weights."""
    _, separator, purpose = saved_as.partition("For")
    return bool(separator) and purpose not in ("CausalLM", "ConditionalGeneration")


def _undo_quantisation(config: Any) -> str:
    record = getattr(config, "quantization_config", None) or getattr(
        config.get_text_config(decoder=True), "quantization_config", None
    )
    if not record:
        return ""
    method = record.get("quant_method") if isinstance(record, dict) else None
    if method not in DEQUANTISED:
        bits = next(
            (
                f", {number} bit"
                for name, number in (("load_in_4bit", 4), ("load_in_8bit", 8))
                if isinstance(record, dict) and record.get(name)
            ),
            "",
        )
        raise UserError(
            f"Its configuration says that the weights are quantised ({str(method)[:40]}{bits})",
            f"weights of 16 or 32 bit, or quantised as {', '.join(DEQUANTISED)} or GGUF, which are dequantised here",
            "Name the model that it was quantised from, or dequantise it with the "
            "library that quantised it, save it, and name that folder",
        )
    record["dequantize"] = True
    return f"the configuration records quantisation ({method}): weights that are stored so are dequantised"


def refuse_adapter(folder: Path) -> None:
    """Alone, an adapter is no model; beside one, it cannot be told whether the model is meant with it or without.

    Raises:
        UserError: there is one.
    """
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if "adapter_config.json" in names:
        beside = "beside a model" if "config.json" in names else "alone"
        raise UserError(
            f"{folder} holds an adapter (adapter_config.json) {beside}: weights that change those of a model",
            "the whole model, with the adapter in it",
            "Merge it (peft: merge_and_unload) and save the result in a folder of its own"
            + (", or take the adapter's files away" if beside != "alone" else ""),
        )


def check_files(folder: Path) -> str:
    """A note on weights in a model's folder that are not read; empty where there are none.

    Raises:
        UserError: it cannot be told which files are the model's.
    """
    names = {file.name for file in folder.iterdir()}
    if {_WHOLE, _INDEX} <= names and _WHOLE not in _shards(folder):
        raise UserError(
            f"{folder} holds weights twice: {_WHOLE}, and the files that {_INDEX} names",
            "the files of one checkpoint",
            "Take away those that are older",
        )
    read = {_WHOLE} if _WHOLE in names else _shards(folder) if _INDEX in names else set()
    if not read:  # pickled weights, which have a flag of their own, or none: transformers says so
        return ""
    _refuse_twins(folder, sorted(read & names))
    unread = sorted(
        name
        for name in names - read
        if name.endswith((".safetensors", ".bin", ".pt", ".pth")) and name not in _NO_WEIGHTS
    )
    if not unread:
        return ""
    others = f" and {len(unread) - _MOST_SHOWN} others" if len(unread) > _MOST_SHOWN else ""
    return f"weights in the folder that are not read: {', '.join(unread[:_MOST_SHOWN])}{others}"


def _shards(folder: Path) -> set[str]:
    """The files that the index names; none where it is no index, of which transformers then says so."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        return {str(name) for name in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _refuse_twins(folder: Path, files: list[str]) -> None:
    """Two files with a tensor of the same name: the one that is read last would count, in silence."""
    place: dict[str, str] = {}
    for file in files:
        for tensor in _tensors(folder / file):
            if (before := place.setdefault(tensor, file)) != file:
                raise UserError(
                    f"{folder} holds the weights {tensor} twice: in {before} and in {file}",
                    "the files of one checkpoint",
                    "Take away those that are older",
                )


def _tensors(file: Path) -> Iterator[str]:
    """Names in a safetensors file; none where it is damaged, which transformers says when it loads it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as content:
            yield from content.keys()
    except (SafetensorError, OSError):
        return


_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def check_loaded_weights(network: Any, loading_info: Mapping[str, Collection[str]]) -> str:
    """A note on weights that the network has no place for, such as those of what sees; empty where there are none.

    Args:
        network: as loaded.
        found: what transformers tells of the loading (`output_loading_info`).

    Raises:
        ValueError: parameters without weights, which would be random numbers; or weights of more layers than the
            network has, so that a part of a model would be measured as the whole.
    """
    if missing := sorted(loading_info["missing_keys"]):
        others = f", nor for {len(missing) - 1} other parameters" if missing[1:] else ""
        raise ValueError(f"there are no weights for {missing[0]}{others}")
    left = sorted(loading_info["unexpected_keys"])
    if too_many := [*_of_layers_too_many(network, left)]:
        others = f", and {len(too_many) - 1} others" if too_many[1:] else ""
        raise ValueError(f"it has weights of more layers than its configuration says: {too_many[0]}{others}")
    return f"weights that the network has no place for are left out: {left[0]}, {len(left)} in all" if left else ""


def _of_layers_too_many(network: Any, names: list[str]) -> Iterator[str]:
    """Those that are a parameter of the network's in all but their numbers, where it has no module of that number."""
    modules = {name for name, _ in network.named_modules()}
    kinds = {_NUMBER.sub("#", name) for name, _ in network.named_parameters()}
    for name in names:
        for path in (name, f"{network.base_model_prefix}.{name}"):  # a base model may have been saved alone
            numbered = {path[: number.end()] for number in _NUMBER.finditer(path)}
            if _NUMBER.sub("#", path) in kinds and not numbered <= modules:
                yield name
                break


def check_finite(network: Any, name: str, dtype: str) -> None:
    """Pass once over a network's parameters; `name`, `dtype`: what the user gave, for the message.

    Raises:
        UserError: some are NaN or infinite.
    """
    wrong = [key for key, parameter in network.named_parameters() if not _is_finite(parameter)]
    if not wrong:
        return
    parameter = network.get_parameter(wrong[0])
    number = int((~parameter.isfinite()).sum())
    others = f", and {len(wrong) - 1} other parameters hold some too" if wrong[1:] else ""
    raise UserError(
        f"Weights of {name} are not finite in {dtype}: {number} of the {parameter.numel()} values of "
        f"{wrong[0]} are NaN or infinite{others}",
        "numbers",
        "Download or convert it again"
        + (", or try --dtype bfloat16 or float32: float16 ends at 65504" if dtype == "float16" else ""),
    )


def _is_finite(values: Tensor) -> bool:
    """The least and the greatest say it without a mask as large as the weights."""
    if not values.numel():
        return True
    least, greatest = values.aminmax()
    return bool(least.isfinite() and greatest.isfinite())


def say_what_is_tied(network: Any) -> str:
    """Make the configuration say of a network's own embeddings whether they are one matrix; a note where it did not.

    A checkpoint may hold a head of its own under a configuration that says "tied": transformers then keeps both, but
    would tie them in an untrained twin.
    """
    config, head = network.config, network.get_output_embeddings()
    if head is None or not getattr(config, "tie_word_embeddings", False):
        return ""
    if head.weight is network.get_input_embeddings().weight:
        return ""
    config.tie_word_embeddings = False
    return "the configuration says that input and output embeddings are one matrix; the file holds two: both are kept"
