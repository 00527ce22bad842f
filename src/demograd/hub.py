"""Whether the hub of models and data sets answers, asked briefly before libraries try for half a minute."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

ANSWERS_WITHIN = 5.0
"""Seconds that a hub has for its first answer."""
ASKED_AGAIN_AFTER = 15.0
"""Seconds for which a hub that did not answer is taken to be silent still: a model is a tokenizer, a configuration and
weights, and each would wait."""
_SERVER_ERROR = 500
_silent_since: dict[str, float] = {}
"""Address → when it last did not answer."""


def hub_address() -> str:
    """Where the hub is, as its own library knows it (HF_ENDPOINT)."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def downloads_are_off() -> bool:
    """Whether the user said so (HF_HUB_OFFLINE), or this process does for a while."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def why_no_repository(name: str) -> str:
    """Why nothing on the hub can have this name, in its library's words; empty: something can."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        return " ".join(str(error).split())
    return ""


def hub_answers() -> bool:
    """Whether the hub answers one request; nothing is asked where downloads are off."""
    if downloads_are_off():
        return False
    from huggingface_hub import get_session

    address = hub_address()
    if time.monotonic() - _silent_since.get(address, -ASKED_AGAIN_AFTER) < ASKED_AGAIN_AFTER:
        return False
    try:
        answers = bool(get_session().head(address, timeout=ANSWERS_WITHIN).status_code < _SERVER_ERROR)
    except Exception:  # the client library, and so its errors, changed between versions: each says the same here
        answers = False
    if not answers:
        _silent_since[address] = time.monotonic()
    return answers


@contextmanager
def only_earlier_downloads() -> Iterator[None]:
    """Within this block nothing is asked of the hub: what was downloaded before is read, the rest is missing."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
