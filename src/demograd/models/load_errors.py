"""What transformers and the hub raise while a model is loaded, said in the user's words."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from transformers.utils import logging

from demograd.errors import UserError, unknown_name
from demograd.hub import downloads_are_off, hub_address, hub_answers, only_earlier_downloads
from demograd.models.packaged import BUILT_IN
from demograd.paths import is_there
from demograd.words import ALLOW_PICKLE


def pickle_is_allowed() -> bool:
    """Whether weights may be unpickled, which the user says with `--allow-pickle`; worker processes inherit it."""
    return os.environ.get(ALLOW_PICKLE) == "1"


def loading(name: str, load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
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
