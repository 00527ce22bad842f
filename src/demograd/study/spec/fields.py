"""Types of a study's settings: names, numbers, and lists that may be written as their only value."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from demograd.models import check_device_name
from demograd.numbers import NUMBER
from demograd.tasks.prompts import MOST_ORDERS

LONGEST_NAME = 100
"""Characters."""
Item = TypeVar("Item")


def _names_a_folder(name: str) -> str:
    """A study's name is part of a path: it must not lead out of the folder of runs."""
    if not name or len(name) > LONGEST_NAME or name.startswith(".") or not re.fullmatch(r"[\w .,+=()-]+", name):
        raise ValueError(f"letters, digits, spaces and . , + = ( ) _ -, at most {LONGEST_NAME}, no dot first")
    return name


def _known_device(name: str) -> str:
    check_device_name(name)
    return name


FolderName = Annotated[str, AfterValidator(_names_a_folder)]
Device = Annotated[str, AfterValidator(_known_device)]
Natural = Annotated[int, Field(ge=0), NUMBER]
"""From 0."""
Count = Annotated[int, Field(gt=0, lt=2**63), NUMBER]
"""From 1."""
Several = Annotated[int, Field(ge=2), NUMBER]
"""From 2."""
Seed = Annotated[int, Field(ge=0, lt=2**32), NUMBER]
Order = Annotated[int, Field(ge=0, lt=MOST_ORDERS), NUMBER]
"""The number of one order of the demonstrations."""
Orders = Annotated[int, Field(ge=2, le=MOST_ORDERS), NUMBER]
"""How many orders something is taken over."""
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]


class OneOrMany:
    """A list of one may be given as its value alone. What else may stand there, a mapping or nothing, stays."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        many = handler(source)
        either = core_schema.union_schema([*_items(many), many])
        return core_schema.no_info_before_validator_function(_as_list, many, json_schema_input_schema=either)


Many = Annotated[list[Item], OneOrMany()]
AtLeastOne = Annotated[list[Item], Field(min_length=1), OneOrMany()]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | PurePath) else value


def _items(schema: Any) -> list[CoreSchema]:
    """The schemas of a list's items; of a union, those of each list in it."""
    below = [schema["schema"]] if schema["type"] == "nullable" else schema.get("choices", [])
    return (
        [schema["items_schema"]] if schema["type"] == "list" else [item for choice in below for item in _items(choice)]
    )


def plain(value: Any) -> Any:
    """A notebook's value as a study file has it: paths are text, and tuples are lists."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {name: plain(below) for name, below in value.items()}
    return [plain(below) for below in value] if isinstance(value, list | tuple) else value
