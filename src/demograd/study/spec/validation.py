"""Settings as a user gives them, checked by a schema; what is wrong is said in the user's words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from demograd.errors import UserError, quoted, shortened, unknown_name
from demograd.study.spec.fields import plain

Schema = TypeVar("Schema", bound=BaseModel)
LONGEST_TEXT = 4000
"""Characters."""


def validated(schema: type[Schema], settings: Mapping[str, Any]) -> Schema:
    """Settings as a study of one kind or another.

    Raises:
        UserError: a setting is unknown or wrong; the first is named by its path, with what was given and what is
            allowed, and how many more there are.
    """
    settings = plain(settings)
    _require_text(settings)
    try:
        return schema.model_validate(settings)
    except ValidationError as error:
        raise _first_problem(schema, error.errors()) from error


def _require_text(value: Any, path: str = "") -> None:
    """
    Raises:
        UserError: a name or a value is very long, or holds half a character or a control character, which no file or
            page can show.
    """
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise UserError(
            f"{shortened(path) or 'A setting'} = {quoted(value)} is {len(value):,} characters long",
            f"at most {LONGEST_TEXT:,}",
            "Shorten it",
        )
    if isinstance(value, str) and re.search("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", value):
        raise UserError(
            f"{shortened(path) or 'A setting'} = {quoted(value)}", "text without control characters", "Remove them"
        )
    if isinstance(value, Mapping):
        for key, below in value.items():
            _require_text(key, path)
            _require_text(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for below in value:
            _require_text(below, path)


def _first_problem(schema: type[BaseModel], problems: Sequence[ErrorDetails]) -> UserError:
    # of a union, every member says why it does not fit; the member meant is the one that got furthest
    same = [problem for problem in problems if problem["loc"][:1] == problems[0]["loc"][:1]]
    first = max(same, key=lambda problem: len(problem["loc"]))
    others = len({problem["loc"][:1] for problem in problems}) - 1
    more = f" (and {others} more)" if others else ""
    kind, value = first["type"], first["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):  # of a model, of a dataclass
        setting, places = _walk(schema, first["loc"][:-1])
        names = sorted({name for place in places for name in _fields(place)})
        return unknown_name(
            f"setting of {setting}" if setting else "setting", str(first["loc"][-1]), names, f"Correct the name{more}"
        )
    loc = first["loc"]
    while loc and isinstance(loc[-1], int):  # the value itself tells which item of a list is wrong
        loc = loc[:-1]
    path, _ = _walk(schema, loc)
    path = shortened(path)
    if options := _options(first):
        tagged = isinstance(value, Mapping)  # told apart by `kind`
        name, field = (value.get("kind"), f"{path}.kind") if tagged else (value, path)
        if isinstance(name, str):
            return unknown_name(field, name, options, f"Choose among these{more}")
    why = first["msg"].removeprefix("Value error, ")
    if not path:
        return UserError(f"These settings do not fit together{more}", why, "Change one of them")
    if kind == "missing":
        return UserError(f"{path} is missing{more}", "a value", f"Add {path}")
    quotes = "Put it in quotes: without them, YAML reads it as true or false"
    do = quotes if isinstance(value, bool) and kind == "string_type" else f"Correct {path}"
    return UserError(f"{path} = {quoted(value)}{more}", why, do)


def _options(problem: ErrorDetails) -> list[str]:
    """Names that would have been right, where pydantic lists them: of words, and of a union told apart by `kind`."""
    expected = "expected" if problem["type"] in ("literal_error", "enum") else "expected_tags"
    return re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get(expected, "")))


def _walk(schema: type[BaseModel], loc: Sequence[int | str]) -> tuple[str, list[Any]]:
    """The path that a user knows a place by, as `exclude[1].task`, and the types that may stand there.

    pydantic's own path also names the members of unions, as `list[float]` or the tag of a world.
    """
    places: list[Any] = [schema]
    parts: list[int | str] = []
    for part in loc:
        if len(places) > 1:  # of a union; pydantic says which member before it goes on
            places = [place for place in places if _is_member(place, part)][:1] or places[:1]
            continue
        places = [below for place in places for below in _below(place, part)]
        if places:
            parts.append(part)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix("."), places


def annotations_at(schema: type[BaseModel], path: Sequence[str]) -> list[Any]:
    """The annotations of a path, one for each way to get there; none where the schema has no such path."""
    places: list[Any] = [schema]
    for name in path[:-1]:
        places = [below for place in places for below in _below(place, name)]
    return [annotation for place in places for annotation in _annotations(place, path[-1])]


def _below(place: Any, part: int | str) -> Iterator[Any]:
    for annotation in _annotations(place, part):
        yield from members(annotation)


def _annotations(place: Any, part: int | str) -> Iterator[Any]:
    if isinstance(part, str) and part in (fields := _fields(place)):
        yield fields[part]
    if get_origin(place) is dict and isinstance(part, str):
        yield get_args(place)[1]
    if get_origin(place) is list and isinstance(part, int):
        yield get_args(place)[0]


def members(annotation: Any) -> Iterator[Any]:
    """An annotation without its notes; of a union, each."""
    if get_origin(annotation) is Annotated:
        yield from members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from members(member)
    elif annotation is not NoneType:
        yield annotation


def _fields(place: Any) -> dict[str, Any]:
    """Name → annotation, of the fields of a model or a dataclass; nothing of another type."""
    if isinstance(place, type) and issubclass(place, BaseModel):
        return {name: field.annotation for name, field in place.model_fields.items()}
    if not is_dataclass(place):
        return {}
    annotations = get_type_hints(place, include_extras=True)
    return {field.name: annotations[field.name] for field in dataclass_fields(place)}


def _is_member(place: Any, label: int | str) -> bool:
    """Whether `label` is what pydantic calls this member of a union."""
    if is_dataclass(place):  # methods are told apart by the name that they are registered under
        return label == getattr(place, "name", None)
    if label in get_args(_fields(place).get("kind")):
        return True
    member = get_origin(place) or place  # list[int] is called by its origin
    return str(label).partition("[")[0] == member.__name__
