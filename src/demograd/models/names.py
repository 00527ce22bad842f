"""What a model, a dtype and a device are called. What cannot be one is refused here, before anything is loaded."""

from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from demograd.errors import UserError, unknown_name
from demograd.hub import why_no_repository
from demograd.models.packaged import BUILT_IN
from demograd.paths import is_there
from demograd.words import Dtype

DEVICES = ("auto", "balanced", "cpu", "cuda", "mps", "xpu")
"""The kinds that a message names."""
_OTHER_DEVICES = ("hpu", "meta", "mlu", "mtia", "musa", "npu", "privateuseone", "xla")
"""Kinds that torch may know besides; whether this machine has one is asked of torch."""
_DEVICE_OF_WORD = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"}


def check_name(name: str) -> None:
    """Whether it can be the name of a model: built-in, on this machine, or on the hub, which is not asked.

    Raises:
        UserError: it is a path where nothing is, a revision of what has none, nearly a built-in name, or a name that no
            hub has.
    """
    if name in BUILT_IN or is_there(expanded(name)):
        return
    repository = name.partition("@")[0]
    if repository in BUILT_IN or (repository and is_there(expanded(repository))):
        # transformers would pass over the revision: all checkpoints would be one network
        raise UserError(
            f"{name}: local folders, files and built-in models have no revisions",
            "the folder of each checkpoint, or a hub name (owner/name@revision)",
            "Name those instead",
        )
    if name.startswith(("./", "../", "/", "~")) or expanded(name).suffix.lower() in (".gguf", ".safetensors"):
        raise UserError(
            f"There is no file or folder {name}", "a folder of save_pretrained, or a .gguf file", "Check the path"
        )
    if "/" not in name and get_close_matches(name.lower(), BUILT_IN, cutoff=0.8):
        # before a hub is asked for it, which takes long where there is none
        raise unknown_name(
            "model", name, BUILT_IN, "Any other model: a hub name (owner/name), a folder, or a .gguf file"
        )
    if why := why_no_repository(repository):
        raise UserError(
            f"{repository!r} is no model: no such folder or file is here, and no model of the hub can have "
            f"this name ({why})",
            f"a built-in name ({', '.join(BUILT_IN)}), a hub name (owner/name), a folder, or a .gguf file",
            "Check the spelling and the path",
        )


def expanded(name: str) -> Path:
    """The name as a path, `~` being a home.

    Raises:
        UserError: it is the home of nobody here.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # ~someone
        raise UserError(
            f"There is no file or folder {name} ({error})",
            "a folder of save_pretrained, or a .gguf file",
            "Check the path",
        ) from error


def check_dtype(name: str) -> None:
    """Raises: UserError where networks are not computed in it."""
    if name not in get_args(Dtype):
        raise unknown_name("dtype", name, get_args(Dtype), "Choose one of these")


def check_device_name(name: str) -> None:
    """Raises: UserError where no machine has such a device."""
    kind = name.partition(":")[0]
    if kind not in (*DEVICES, *_OTHER_DEVICES):
        similar = _DEVICE_OF_WORD.get(kind.lower())
        raise unknown_name("device", name, DEVICES, f"Try --device auto{f' or --device {similar}' if similar else ''}")
