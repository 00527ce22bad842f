"""Fine-tuning methods by name: a name stands for a registered method (`kind`) with options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union

import yaml
from pydantic import (
    BaseModel,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    TypeAdapter,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from demograd.errors import UserError, quoted, unknown_name
from demograd.learn import Method, methods
from demograd.learn.method import about
from demograd.study.spec.validation import validated

_FILE = Path(__file__).parent / "methods.yaml"


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def method_descriptions() -> dict[str, str]:
    """Name → what it does, in a line: every registered method as it comes, and with the options of `methods.yaml`."""
    registered = {name: about(method) for name, method in methods().items()}
    return registered | {name: row["about"] for name, row in _shipped().items()}


def named_methods() -> dict[str, dict[str, Any]]:
    """Name → kind and options, of the methods that a study may name without options."""
    registered = {name: {"kind": name} for name in methods()}
    variants = {name: {key: row[key] for key in row if key != "about"} for name, row in _shipped().items()}
    return registered | variants


class MethodsByName:
    """The annotation of a study's methods: a list of names, or a mapping from names to options.

    They are checked by the methods that are registered when a study is made: a notebook may register its own.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(resolved_methods, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Like the validator: options without a kind suit those names that have one."""
        options = handler(TypeAdapter(_any_of(tuple(methods().values()))).core_schema)
        return {
            "anyOf": [
                {"type": "array", "items": {"enum": sorted(named_methods())}, "uniqueItems": True},
                {"type": "object", "additionalProperties": {"anyOf": options["oneOf"]}},
            ]
        }


def resolved_methods(settings: Any) -> dict[str, dict[str, Any]]:
    """Name → kind and options, from a list of names, or a mapping from names to options.

    A name that has options of its own brings them; those in the settings replace them.

    Raises:
        UserError: a name is unknown and has no kind, or an option is unknown or wrong.
    """
    if isinstance(settings, str):
        settings = [settings]
    if isinstance(settings, list):
        if len(set(map(str, settings))) != len(settings):
            raise UserError(f"methods {quoted(settings)}", "each method once", "Leave one out")
        settings = {str(name): {} for name in settings}
    if not isinstance(settings, Mapping):
        raise UserError(f"methods = {quoted(settings)}", "names of methods", "See demograd list methods")
    resolved = {}
    for name, options in settings.items():
        if not isinstance(options, Mapping):
            expected = "options, such as {kind: GD, optimizer: adam}"
            raise UserError(f"methods.{name} = {quoted(options)}", expected, "Mend it")
        if name not in named_methods() and "kind" not in options:
            kinds = " or ".join(methods())
            raise unknown_name("methods", name, named_methods(), f"Choose among these, or give it a kind: {kinds}")
        if "learning_rate" in options:
            expected = f"rates under learning_rates, such as learning_rates: {{{name}: [0.001]}}"
            raise UserError(f"methods.{name}.learning_rate", expected, "Put it there")
        resolved[str(name)] = {**named_methods().get(name, {}), **options}
        make_method(name, resolved[str(name)], learning_rate=0.5)
    return resolved


def make_method(name: str, options: Mapping[str, Any], learning_rate: float) -> Method:
    """The method of this name at a learning rate.

    Raises:
        UserError: an option is unknown or wrong.
    """
    settings = {"methods": {name: {**options, "learning_rate": learning_rate}}}
    result: Method = validated(_schema(tuple(methods().values())), settings).methods[name]  # type: ignore[attr-defined]
    return result


@cache
def _schema(registered: tuple[type[Method], ...]) -> type[BaseModel]:
    """Methods by name, as `validated` takes them and names what is wrong of them."""
    methods_by_name: Any = dict[str, _any_of(registered)]  # type: ignore[misc]
    return create_model("Methods", methods=(methods_by_name, ...))


def _any_of(registered: tuple[type[Method], ...]) -> Any:
    """The union of these methods, told apart by `kind`."""
    members = tuple(Annotated[method, _Options(method.name), Tag(method.name)] for method in registered)
    return Annotated[Union[members], Discriminator(_kind)]  # noqa: UP007 (of a tuple)


def _kind(options: Any) -> Any:
    return options.get("kind") if isinstance(options, Mapping) else None


@dataclass(frozen=True)
class _Options:
    """The annotation of one method of the union: its options stand beside `kind`, without the learning rate, which has
    a field of its own."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_without_kind, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        reference = handler(schema)
        described = handler.resolve_ref_schema(reference)
        # pydantic takes descriptions from the docstrings of a class's own fields alone
        options = described["properties"]
        for base in methods()[self.kind].__mro__[1:]:
            if issubclass(base, Method):
                of_base = TypeAdapter(base).json_schema()["properties"]
                options = {name: of_base.get(name, {}) | option for name, option in options.items()}
        options.pop("learning_rate", None)
        described["properties"] = {"kind": {"const": self.kind}, **options}
        described.pop("required", None)
        return reference


def _without_kind(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "kind"}


def options_json(method: Method) -> str:
    """All settings of a method but its learning rate, as the results table has them."""
    return json.dumps(method.options())
