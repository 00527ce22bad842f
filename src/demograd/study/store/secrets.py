"""Secrets of the environment, which an error's message may hold and no file of a run."""

import os
import re

_NAME = re.compile("TOKEN|SECRET|KEY|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 8
"""Characters: a shorter value, such as `true`, is also a word of other texts."""
_USER = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]*@")
HIDDEN = "***"


def without_secrets(text: str) -> str:
    """The text without the values of variables whose names say that they are secret, and without users and passwords
    in URLs."""
    secrets = {value for name, value in os.environ.items() if _NAME.search(name) and len(value) >= _SHORTEST}
    for secret in sorted(secrets, key=len, reverse=True):  # one may begin another
        text = text.replace(secret, HIDDEN)
    return _USER.sub(f"{HIDDEN}@", text)
