"""What the settings of a study are made of: names, numbers, and lists that may be given as their only value."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from demograd.models import check_device_name
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


def _no_boolean(value: Any) -> Any:
    """To Python, and so to pydantic, True is the number 1."""
    if isinstance(value, bool):
        raise ValueError("a number; YAML reads yes, on and true as true, no, off and false as false")
    return value


# last in an annotation, where the JSON schema still shows the bounds before it
_NUMBER = BeforeValidator(_no_boolean)

FolderName = Annotated[str, AfterValidator(_names_a_folder)]
Device = Annotated[str, AfterValidator(_known_device)]
Whole = Annotated[int, _NUMBER]
Natural = Annotated[int, Field(ge=0), _NUMBER]
"""From 0."""
Count = Annotated[int, Field(gt=0, lt=2**63), _NUMBER]
"""From 1."""
Several = Annotated[int, Field(ge=2), _NUMBER]
"""From 2."""
Seed = Annotated[int, Field(ge=0, lt=2**32), _NUMBER]
Order = Annotated[int, Field(ge=0, lt=MOST_ORDERS), _NUMBER]
"""The number of one order of the demonstrations."""
Orders = Annotated[int, Field(ge=2, le=MOST_ORDERS), _NUMBER]
"""How many orders something is taken over."""
Real = Annotated[float, Field(allow_inf_nan=False), _NUMBER]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), _NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _NUMBER]


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
    """What a list holds; of a union, each list in it."""
    below = [schema["schema"]] if schema["type"] == "nullable" else schema.get("choices", [])
    return [schema["items_schema"]] if schema["type"] == "list" else [item for one in below for item in _items(one)]


def plain(value: Any) -> Any:
    """A notebook's value as a study file has it: paths are text, and tuples are lists."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {name: plain(below) for name, below in value.items()}
    return [plain(below) for below in value] if isinstance(value, list | tuple) else value
