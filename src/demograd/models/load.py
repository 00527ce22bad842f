"""Load any causal language model: a built-in name, a hub name, a local folder, or a GGUF file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from demograd.errors import UserError, unknown_name
from demograd.hub import only_earlier_downloads
from demograd.models.anatomy import find_anatomy
from demograd.models.checkpoint import (
    check_configuration,
    check_files,
    check_finite,
    check_loaded_weights,
    refuse_adapter,
    say_what_is_tied,
)
from demograd.models.fairseq_initialisation import check_fairseq_draws
from demograd.models.gguf import cache_folder, dequantised_folder, gguf_parts
from demograd.models.load_errors import loading, pickle_is_allowed
from demograd.models.model import Model, Weights, context_window, fingerprint
from demograd.models.names import check_device_name, check_dtype, check_name, expanded
from demograd.models.packaged import BUILT_IN, header_of
from demograd.models.placement import check_device, placed
from demograd.models.tokenizer import begin_with, check_bos, check_rows, tokenizer_file, tokenizer_of
from demograd.models.untrained import set_initialisation, untrained
from demograd.paths import is_file, is_there
from demograd.words import DrawnAs

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    name: str,
    *,
    weights: str = Weights.TRAINED,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    bos: str | None = None,
    initializer_range: float | None = None,
    drawn_as: DrawnAs = "transformers",
) -> Model:
    """Load a causal language model, or an untrained twin of it.

    Args:
        name: a built-in name (`demograd list models`), a hub name, a local folder, or a `.gguf` file. A hub name takes
            a branch, tag or commit: `EleutherAI/pythia-160m@step1000`.
        weights: the state before anything (trained, trained_embeddings, norms_only, no_training).
        seed: of the untrained weights.
        device: `auto` (CUDA if there is one, several for a model that needs them), `balanced` (over all CUDA devices),
            `cpu`, `cuda`, `cuda:1`, …
        dtype: `float32`, `bfloat16` or `float16`.
        bos: the token that prompts and training sequences begin with, in place of the model's own.
        initializer_range: standard deviation of untrained weights, in place of what the configuration says.
        drawn_as: whose initialisation draws untrained weights: `transformers` or, of an XGLM, `fairseq`.

    Raises:
        UserError: the model cannot be found or is of a shape that demograd does not know; an option is unknown.
    """
    if weights not in list(Weights):
        raise unknown_name("weights", weights, list(Weights), "Choose one of these")
    state = Weights(weights)
    check_dtype(dtype)
    check_device_name(device)
    place = check_device(device)
    network, tokenizer, source, notes = _load_pretrained(name, DTYPES[dtype])
    built_in = BUILT_IN.get(name)
    if drawn_as == "fairseq":
        check_fairseq_draws(network, name, initializer_range)
        initialisation = "untrained weights are drawn as fairseq draws them"
    else:
        initialisation = set_initialisation(
            network.config,
            _saved_configuration(name),
            initializer_range,
            built_in.initializer_range if built_in else None,
            name,
        )
    if begins := begin_with(tokenizer, network.config, bos, built_in.bos if built_in else None):
        notes = (*notes, begins)
        check_bos(tokenizer, network, name)
    network.requires_grad_(False).eval()
    drawn_from = ""
    if state != Weights.TRAINED:
        notes = (*notes, initialisation)
        drawn_from = fingerprint(network)
        network = untrained(network, state, seed, drawn_as).requires_grad_(False)
    network = placed(network, place)
    return Model(
        name, network, tokenizer, find_anatomy(network), state, seed, dtype, source, notes, drawn_from, initialisation
    )


def load_tokenizer(name: str, bos: str | None = None) -> tuple[Any, int | None]:
    """The tokenizer of a model, and the model's context window, without loading its weights; `bos`: see `load_model`.

    Raises:
        UserError: the model cannot be found.
    """
    with _without_weights(name) as (path, how):

        def load() -> tuple[Any, Any]:
            config = AutoConfig.from_pretrained(path, **how, trust_remote_code=False)
            check_configuration(config)
            return tokenizer_of(path, how)[0], config

        tokenizer, config = loading(name, load)
    built_in = BUILT_IN.get(name)
    begin_with(tokenizer, config.get_text_config(decoder=True), bos, built_in.bos if built_in else None)
    return tokenizer, context_window(config)


def load_config(name: str) -> Any:
    """The configuration of a model's language part, without loading its weights.

    Raises:
        UserError: the model cannot be found.
    """
    with _without_weights(name) as (path, how):

        def load() -> tuple[Any, Any]:
            config = AutoConfig.from_pretrained(path, **how, trust_remote_code=False)
            check_configuration(config)
            return config.get_text_config(decoder=True), None

        return loading(name, load)[0]


@contextmanager
def _without_weights(name: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Where a model's configuration and tokenizer lie, and how transformers is told.

    A GGUF file has both in its header, which can be read before it is dequantised.
    """
    parts = gguf_parts(name)
    if not parts or is_file(cache_folder(parts) / "config.json"):
        place = _place_of(name)
        yield place.path, {"revision": place.revision}
    elif len(parts) == 1:
        yield str(parts[0].parent), {"gguf_file": parts[0].name}
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield folder, {"gguf_file": header_of(parts, Path(folder) / "header.gguf").name}


def _saved_configuration(name: str) -> dict[str, Any]:
    """What a model's configuration file says; empty for a GGUF file."""
    if gguf_parts(name):
        return {}
    place = _place_of(name)
    with only_earlier_downloads():  # the model has just been loaded
        return dict(PretrainedConfig.get_config_dict(place.path, revision=place.revision)[0])


def tokenizer_file_of(name: str) -> Path | None:
    """The tokenizer.json of a model that has been loaded; None where it has none."""
    place = _place_of(name)
    return tokenizer_file(place.path, place.revision)


_Loaded = tuple[Any, Any, str, tuple[str, ...]]
"""Network, tokenizer, where they came from, and what a reader must know of them."""


@dataclass(frozen=True)
class _Place:
    """Where a model lies."""

    path: str
    """A folder, or a repository on the hub."""
    revision: str | None = None
    description: str = ""
    """What it is, where the path does not say it."""


def _load_pretrained(name: str, dtype: torch.dtype) -> _Loaded:
    place = _place_of(name)
    network, tokenizer, source, notes = _from_folder_or_hub(place, dtype)
    if place.description:  # the folder is one of demograd's own cache
        return network, tokenizer, place.description, (place.description, *notes)
    return network, tokenizer, source, notes


def _place_of(name: str) -> _Place:
    path = expanded(name)
    if parts := gguf_parts(name):
        description = BUILT_IN[name].description if name in BUILT_IN else f"{path.name}, dequantised"
        return _Place(dequantised_folder(parts), description=description)
    if is_there(path):
        refuse_adapter(path)
        if not is_file(path / "config.json"):
            raise UserError(
                f"{name} is no model: it has no config.json",
                "a folder of save_pretrained, or a .gguf file",
                "Check the path",
            )
        return _Place(str(path))
    check_name(name)
    repository, _, revision = name.partition("@")
    return _Place(repository, revision or None)


def _from_folder_or_hub(place: _Place, dtype: torch.dtype) -> _Loaded:
    name, revision = place.path, place.revision

    unread = check_files(Path(name)) if is_there(Path(name)) else ""

    def load() -> tuple[Any, tuple[Any, tuple[str, ...]]]:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        quantised = check_configuration(config)
        tokenizer, rebuilt = tokenizer_of(name, {"revision": revision})  # before the weights, which take longer
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            config=config,
            revision=revision,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            use_safetensors=None if pickle_is_allowed() else True,
        )
        network, loading_info = loaded
        return network, (tokenizer, (unread, quantised, check_loaded_weights(network, loading_info), rebuilt))

    title = name if revision is None else f"{name}@{revision}"
    whole, (tokenizer, loading_notes) = loading(title, load)
    network, part = text_part(whole)
    check_finite(network, title, str(dtype).removeprefix("torch."))
    namesake = ""
    if is_there(Path(name)) and _may_be_a_hub_name(name):
        namesake = f"{name} is a folder here, and was read: not the hub's model of that name"
    notes = (part, *loading_notes, say_what_is_tied(network), check_rows(tokenizer, network, title), namesake)
    return network, tokenizer, _source(name, revision), tuple(note for note in notes if note)


def _may_be_a_hub_name(folder: str) -> bool:
    """Whether the path of a folder is also what a repository on the hub may be called."""
    return len(Path(folder).parts) == 2 and not folder.startswith((".", "/", "~"))


def _source(name: str, revision: str | None) -> str:
    """For the provenance: a name and revision on the hub can come to mean something else, a commit cannot."""
    if is_there(Path(name)):
        return f"the folder {name}" if _may_be_a_hub_name(name) else name
    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    versions = {"revision": revision, "commit": Path(cached).parent.name if isinstance(cached, str) else None}
    return ", ".join([name, *(f"{kind} {version}" for kind, version in versions.items() if version)])


def text_part(network: Any) -> tuple[Any, str]:
    """The network's causal language model on its own, sharing its weights, and a note on it; or the network itself.

    Raises:
        ValueError: transformers knows no causal language model of this kind of text configuration.
    """
    config = network.config.get_text_config(decoder=True)
    if config is network.config or not hasattr(network.config, "text_config"):
        return network, ""
    with torch.device("meta"):
        text = AutoModelForCausalLM.from_config(config, dtype=network.dtype)
    setattr(text, text.base_model_prefix, network.get_decoder())
    text.set_output_embeddings(network.get_output_embeddings())
    return text, f"the text part of a {network.config.model_type} model"
