"""`--set k=8,16 --set methods.GD.epochs=2`: settings replaced by the path that leads to them."""

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from demograd.errors import UserError, unknown_name
from demograd.study.spec.validation import annotations_at, members
from demograd.study.spec.yaml_file import parsed

_EXPECTED = "a value as a study file has it: 8, [8, 16], {epochs: 2}, or text in quotes"
_BY_NAME = ("methods", "worlds", "networks")
"""Settings by a name that the user gave: under a name that is not there, nothing can be replaced."""


def overridden(schema: type[BaseModel], settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings with some replaced, in the order of the overrides.

    Raises:
        UserError: an override is not PATH=VALUE, or its path leads nowhere.
    """
    result = dict(settings)
    for override in overrides:
        path, equals, text = override.partition("=")
        names = [name.strip() for name in path.split(".")]
        if not equals or not all(names):
            raise UserError(f"--set {override}", "PATH=VALUE", "Try --set k=8,16 or --set methods.GD.epochs=2")
        if names[0] not in schema.model_fields:
            raise unknown_name("setting in --set", names[0], schema.model_fields, "Correct the name")
        _replace(schema, result, names, _value(schema, names, text, override))
    return result


def _replace(schema: type[BaseModel], settings: dict[str, Any], names: Sequence[str], value: Any) -> None:
    """Replace one, in mappings that are new: those that were given stay as they are."""
    if len(names) > 1:
        default = schema.model_fields[names[0]].get_default(call_default_factory=True)
        settings.setdefault(names[0], default.model_dump() if isinstance(default, BaseModel) else default)
    place: dict[str, Any] = settings
    for depth, name in enumerate(names[:-1]):
        below = place.get(name)
        if isinstance(below, list) and names[0] == "methods":
            below = {str(method): {} for method in below}
        if depth == 1 and names[0] in _BY_NAME and name not in place:
            raise unknown_name(f"name in --set {names[0]}", name, place, "Name one that the study has")
        if below is not None and not isinstance(below, Mapping):
            below = None  # a value for all becomes a value for each
        place[name] = dict(below or {})
        place = place[name]
    place[names[-1]] = value


def _value(schema: type[BaseModel], names: Sequence[str], text: str, override: str) -> Any:
    """Text as it is where the setting is text; else YAML, of which commas make a list."""
    annotations = annotations_at(schema, names)
    allowed = {member for annotation in annotations for member in members(annotation)}
    if text.strip() == "null" and any(NoneType in get_args(annotation) for annotation in annotations):
        return None
    if allowed == {str}:
        return text
    parts = _split(text)
    # YAML cannot begin with @, and a revision does
    values = [
        part.strip() if part.strip().startswith("@") else parsed(part, f"--set {override}", _EXPECTED)
        for part in parts
        if part.strip()
    ]
    if len(parts) != 1 or not values:
        return values
    return text if str in allowed and isinstance(values[0], int | float) else values[0]


def _split(text: str) -> list[str]:
    """At its commas, but for those inside brackets, braces or quotes; `8,` is a list of one."""
    piece = r"""(?:"[^"]*"|'[^']*'|\[[^\]]*\]|\{(?:[^{}]|\{[^{}]*\})*\}|[^,])+"""
    return re.findall(piece, text) + [""] * text.endswith(",")
