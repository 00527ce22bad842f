"""Names of what a run folder keeps: a title for people, and a hash of everything that the numbers depend on.

Device, threads and, of trained weights, library versions round differently; each file says what computed it.
"""

import hashlib
import json
import re
from typing import Any

from pydantic import BaseModel

from demograd.study.language_model.spec import Study

NUMERICS = 5
"""Raised when a change of the code changes numbers: cells of another version are run again."""
_DIGITS = 32
"""Hexadecimal digits of the hash: that two of a billion cells share one is less likely than 1 in 10^20."""


def settings_key(title: str, settings: dict[str, Any]) -> str:
    """Names the file of something whose numbers depend on these settings alone."""
    return key_of(title, settings, NUMERICS)


def is_key(text: str) -> bool:
    """Whether it is a name that this file gives."""
    return re.fullmatch(rf"[A-Za-z0-9_-]+-[0-9a-f]{{{_DIGITS}}}", text) is not None


def study_content(study: BaseModel) -> dict[str, Any]:
    """The settings of a resolved study that numbers depend on, as JSON: not what it is called and about, its notes, nor
    the device, by which a language model's numbers are but rounded; a synthetic study draws its data there."""
    labels = {"name", "about"}
    return study.model_dump(mode="json", exclude=labels | {"device", "notes"} if isinstance(study, Study) else labels)


def study_key(study: BaseModel) -> str:
    """Tells one resolved study from another."""
    return hashlib.sha256(json.dumps(study_content(study)).encode()).hexdigest()[:8]


def path_safe(title: str) -> str:
    """A part of a file name on any file system, whatever the title: names come from study files and data."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", title)[-80:]


def key_of(title: str, content: dict[str, Any], numerics: int) -> str:
    """Names the file of something whose numbers depend on this content; `title` is for people."""
    text = json.dumps({**content, "numerics": numerics}, sort_keys=True)
    return f"{path_safe(title)}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
