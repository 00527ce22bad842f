"""Fine-tuning methods by name: a name stands for a kind, GD or LCGD, with options."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from demograd.errors import UserError, unknown_name
from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, ParameterSubset
from demograd.study.spec.validation import members

KINDS: dict[str, type[GradientDescent] | type[LayerCausalGradientDescent]] = {
    "GD": GradientDescent,
    "LCGD": LayerCausalGradientDescent,
}
_FILE = Path(__file__).parent / "methods.yaml"


@cache
def named_methods() -> dict[str, dict[str, Any]]:
    """Name → kind and options, of the methods that ship with demograd."""
    return {
        name: {key: value for key, value in row.items() if key != "about"}
        for name, row in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items()
    }


@cache
def method_descriptions() -> dict[str, str]:
    """Name → what it does, in a line."""
    return {name: row["about"] for name, row in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items()}


def resolved_methods(given: Any) -> dict[str, dict[str, Any]]:
    """Name → kind and options, from a list of names, or a mapping from names to options.

    A name that ships with demograd brings its options; what is given besides replaces them.

    Raises:
        UserError: a name is unknown and has no kind, or an option is unknown or wrong.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list):
        if len(set(map(str, given))) != len(given):
            raise UserError(f"methods {given}", "each method once", "Leave one out")
        given = {str(name): {} for name in given}
    if not isinstance(given, Mapping):
        raise UserError(f"methods = {given!r}", "names of methods", "See demograd list methods")
    methods = {}
    for name, options in given.items():
        if not isinstance(options, Mapping):
            raise UserError(f"methods.{name} = {options!r}", "options, such as {kind: GD, optimizer: adam}", "Mend it")
        if name not in named_methods() and "kind" not in options:
            raise unknown_name("methods", name, named_methods(), "Choose among these, or give it a kind: GD or LCGD")
        methods[str(name)] = {**named_methods().get(name, {}), **options}
        make_method(name, methods[name], learning_rate=1.0)
    return methods


def make_method(name: str, options: Mapping[str, Any], learning_rate: float) -> Method:
    """The method of this name at a learning rate.

    Raises:
        UserError: an option is unknown or wrong.
    """
    settings = dict(options)
    kind = settings.pop("kind")
    if kind not in KINDS:
        raise unknown_name(f"methods.{name}.kind", str(kind), KINDS, "Choose one of these")
    _require_options(f"methods.{name}", settings, KINDS[kind])
    subset = settings.get("parameters")
    if isinstance(subset, Mapping):
        _require_options(f"methods.{name}.parameters", subset, ParameterSubset)
    try:
        return _adapter(kind).validate_python({**settings, "learning_rate": learning_rate})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["methods", name, *(str(part) for part in first["loc"] if not str(part)[0].isupper())])
        raise UserError(f"{where} = {first['input']!r}", first["msg"], f"Correct {where}") from error


@cache
def _adapter(kind: str) -> Any:
    return TypeAdapter(KINDS[kind])


def options_json(method: Method) -> str:
    """All settings of a method but its learning rate, as the results table has them."""
    return json.dumps({name: value for name, value in asdict(method).items() if name != "learning_rate"})


def _require_options(where: str, given: Mapping[str, Any], of: type) -> None:
    """That the options are there, and that none is true or false unless it may be: to pydantic, true is a number."""
    types = {name: kind for name, kind in get_type_hints(of).items() if name != "learning_rate"}
    for option, value in given.items():
        if option not in types:
            raise unknown_name(f"option of {where}", str(option), types, "Correct the name")
        values = value if isinstance(value, list) else [value]
        if bool not in members(types[option]) and any(isinstance(one, bool) for one in values):
            raise UserError(f"{where}.{option} = {value!r}", "neither true nor false", f"Correct {where}.{option}")
