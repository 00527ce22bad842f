"""Load any causal language model: a built-in name, a hub name, a local folder, or a GGUF file."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from platformdirs import user_cache_path
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.utils import logging

from demograd.errors import UserError, unknown_name
from demograd.hub import downloads_are_off, hub_address, hub_answers, only_earlier_downloads
from demograd.models.anatomy import find_anatomy
from demograd.models.bos import begin_with
from demograd.models.checkpoint import check_configuration, check_files, refuse_adapter
from demograd.models.finite import check_finite
from demograd.models.gguf_file import check_is_read_whole
from demograd.models.initialisation import set_initialisation
from demograd.models.leftover import check_weights
from demograd.models.model import Model, Weights, context_window, fingerprint
from demograd.models.names import check_device_name, check_dtype, check_name, expanded
from demograd.models.packaged import BUILT_IN, header_of, installed_parts, joined, sha256
from demograd.models.placement import check_device, placed
from demograd.models.text_part import text_part
from demograd.models.tokenizer import check_bos, check_rows, tokenizer_file, tokenizer_of
from demograd.models.tying import say_what_is_tied
from demograd.models.untrained import untrained
from demograd.paths import is_file, is_there
from demograd.words import ALLOW_PICKLE

MODELS = "DEMOGRAD_MODELS"
"""The environment variable that names another folder for unpacked GGUF models."""
_RULES = 2
"""Raised when a GGUF file is read in another way than before."""
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
) -> Model:
    """Load a causal language model, or an untrained twin of it.

    Args:
        name: a built-in name (`demograd list models`), a hub name, a local folder, or a `.gguf` file. A hub name takes
            a branch, tag or commit: `EleutherAI/pythia-160m@step1000`.
        weights: the state before anything (`method.md`: trained, trained_embeddings, norms_only, no_training).
        seed: of the untrained weights.
        device: `auto` (CUDA if there is one, several for a model that needs them), `balanced` (over all CUDA devices),
            `cpu`, `cuda`, `cuda:1`, …
        dtype: `float32`, `bfloat16` or `float16`.
        bos: the token that prompts and training sequences begin with, in place of the model's own.
        initializer_range: standard deviation of untrained weights, in place of what the configuration says.

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
    known = BUILT_IN.get(name)
    initialisation = set_initialisation(
        network.config, _saved_configuration(name), initializer_range, known.initializer_range if known else None, name
    )
    if begins := begin_with(tokenizer, network.config, bos, known.bos if known else None):
        notes = (*notes, begins)
        check_bos(tokenizer, network, name)
    network.requires_grad_(False).eval()
    drawn_from = ""
    if state != Weights.TRAINED:
        notes = (*notes, initialisation)
        drawn_from = fingerprint(network)
        network = untrained(network, state, seed).requires_grad_(False)
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

        tokenizer, config = _loading(name, load)
    known = BUILT_IN.get(name)
    begin_with(tokenizer, config.get_text_config(decoder=True), bos, known.bos if known else None)
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

        return _loading(name, load)[0]


@contextmanager
def _without_weights(name: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Where a model's configuration and tokenizer lie, and how transformers is told.

    A GGUF file has both in its header, which can be read before it is dequantised.
    """
    parts = _gguf_parts(name)
    if not parts or is_file(_dequantised(parts) / "config.json"):
        place = _found(name)
        yield place.path, {"revision": place.revision}
    elif len(parts) == 1:
        yield str(parts[0].parent), {"gguf_file": parts[0].name}
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield folder, {"gguf_file": header_of(parts, Path(folder) / "header.gguf").name}


def _saved_configuration(name: str) -> dict[str, Any]:
    """What a model's configuration file says; empty for a GGUF file."""
    if _gguf_parts(name):
        return {}
    place = _found(name)
    with only_earlier_downloads():  # the model has just been loaded
        return dict(PretrainedConfig.get_config_dict(place.path, revision=place.revision)[0])


def tokenizer_file_of(name: str) -> Path | None:
    """The tokenizer.json of a model that has been loaded; None where it has none."""
    place = _found(name)
    return tokenizer_file(place.path, place.revision)


def pickle_is_allowed() -> bool:
    """Whether weights may be unpickled, which the user says with `--allow-pickle`; worker processes inherit it."""
    return os.environ.get(ALLOW_PICKLE) == "1"


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
    place = _found(name)
    network, tokenizer, source, notes = _from_folder_or_hub(place, dtype)
    if place.description:  # the folder is one of demograd's own cache
        return network, tokenizer, place.description, (place.description, *notes)
    return network, tokenizer, source, notes


def _found(name: str) -> _Place:
    path = expanded(name)
    if parts := _gguf_parts(name):
        known = BUILT_IN.get(name)
        return _Place(_from_gguf(parts), description=known.description if known else f"{path.name}, dequantised")
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


def _gguf_parts(name: str) -> list[Path]:
    """The files of a built-in model, or the one that is named; none where it is no GGUF file."""
    if name in BUILT_IN:
        return installed_parts(name)
    path = expanded(name)
    return [path] if is_file(path) and path.suffix.lower() == ".gguf" else []


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
        network, found = loaded
        return network, (tokenizer, (unread, quantised, check_weights(network, found), rebuilt))

    title = name if revision is None else f"{name}@{revision}"
    whole, (tokenizer, told) = _loading(title, load)
    network, part = text_part(whole)
    check_finite(network, title, str(dtype).removeprefix("torch."))
    namesake = ""
    if is_there(Path(name)) and _may_be_a_hub_name(name):
        namesake = f"{name} is a folder here, and was read: not the hub's model of that name"
    notes = (part, *told, say_what_is_tied(network), check_rows(tokenizer, network, title), namesake)
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
    return ", ".join([name, *(f"{which} {version}" for which, version in versions.items() if version)])


def _loading(name: str, load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
    is_of_the_hub = not is_there(Path(name))
    unanswered = is_of_the_hub and not downloads_are_off() and not hub_answers()
    progress_was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    hub = getLogger("huggingface_hub")  # tells of every retry; the error at the end says it once
    hub_level = hub.level
    hub.setLevel(ERROR)
    try:
        with only_earlier_downloads() if unanswered else nullcontext():
            return load()
    except UserError:  # what was found says itself what to do
        raise
    except Exception as error:  # a damaged file fails in the parsers in ways of their own
        # a gated model's reason is in the second line
        lines = [line.strip()[:200] for line in str(error).strip().splitlines()[: 2 if "gated" in str(error) else 1]]
        reason = f"{type(error).__name__}: {' '.join(lines)}" if lines else type(error).__name__
        pickled = isinstance(error, OSError) and not pickle_is_allowed() and "safetensors" in str(error)
        do = "Check the spelling, the path and the network"
        if pickled:  # transformers cannot find what it is told to look for
            do = "Give it as safetensors; --allow-pickle takes pickled weights, which can run code of whoever made them"
        if unanswered:
            reason = f"the hub, {hub_address()}, does not answer, and no such model was downloaded before"
        unknown = unknown_name("model", name, BUILT_IN, do)
        raise UserError(
            f"The model {name!r} cannot be loaded ({reason})",
            f"a built-in name ({', '.join(BUILT_IN)}), a hub name, a folder of save_pretrained with "
            "safetensors, or a .gguf file",
            unknown.do,
        ) from error
    finally:
        hub.setLevel(hub_level)
        if progress_was_on:
            logging.enable_progress_bar()


def _from_gguf(parts: list[Path]) -> str:
    """The folder of the dequantised model: that takes a while, so it is kept in the user's cache as safetensors."""
    folder = _dequantised(parts)
    if not is_file(folder / "config.json"):
        _dequantise(parts, folder)
    return str(folder)


def _dequantised(parts: list[Path]) -> Path:
    """Its name says by which rules it was made: one of others (of files without some tensors) is not read."""
    return _dequantised_models() / f"{parts[0].stem}-{sha256(parts)[:16]}-{_RULES}"


def _dequantised_models() -> Path:
    """The folder of all of them: what MODELS says, or this platform's place for caches."""
    named = os.environ.get(MODELS)
    return expanded(named) if named else user_cache_path("demograd") / "models"


def _dequantise(parts: list[Path], folder: Path) -> None:
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
            _dequantise_in(Path(place), parts, folder)
        except (OSError, SafetensorError) as error:
            raise _not_writable(folder.parent, error) from error


def _not_writable(folder: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"A GGUF model is unpacked once, and {folder}, where it is kept, cannot be written ({reason})",
        "a folder of yours on a disk with room for the model in 32 bit",
        f"Name one in the environment variable {MODELS}, or mend that folder",
    )


def _dequantise_in(place: Path, parts: list[Path], folder: Path) -> None:
    """Unpack into `place`, a folder for the time being, and move what is whole to `folder`."""
    file = parts[0] if len(parts) == 1 else joined(parts, place / "whole.gguf")

    def load() -> tuple[Any, Any]:
        tokenizer, _ = tokenizer_of(str(file.parent), {"gguf_file": file.name})
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
        )
        network, found = loaded
        check_weights(network, found)
        return network, tokenizer

    network, tokenizer = _loading(str(file), load)
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
