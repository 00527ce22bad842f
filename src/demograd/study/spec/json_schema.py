"""The JSON schema of a study file, for editors: what each field means, and what it may be."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from demograd.study.measures import measures
from demograd.study.schema import Study
from demograd.study.spec.methods import KINDS, named_methods
from demograd.study.synthetic.schema import SyntheticStudy


def json_schema() -> dict[str, Any]:
    """Of both kinds of study: `kind: synthetic` tells one from the other (JSON Schema 2020-12)."""
    schemas = [(Study, "validation"), (SyntheticStudy, "validation")]
    _, whole = models_json_schema(schemas, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    definitions = {**whole["$defs"], **_of_methods()}
    study = definitions["Study"]["properties"]
    study["methods"] = {
        "description": study["methods"]["description"],
        "anyOf": [
            {"type": "array", "items": {"enum": sorted(named_methods())}, "uniqueItems": True},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/MethodOptions"}},
        ],
    }
    measure = {"enum": [*measures()]}
    study["measures"]["anyOf"] = [measure, {"type": "array", "items": measure, "minItems": 1}]
    for kind in ("Study", "SyntheticStudy"):
        _open_to_files(definitions[kind])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study file of demograd",
        "type": "object",
        "if": {"properties": {"kind": {"const": "synthetic"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/SyntheticStudy"},
        "else": {"$ref": "#/$defs/Study"},
        "$defs": definitions,
    }


def _of_methods() -> dict[str, Any]:
    """A method's options: those of its kind, without the learning rate, which has a field of its own."""
    definitions: dict[str, Any] = {}
    options: list[dict[str, Any]] = []
    for kind, method in KINDS.items():
        of_kind = TypeAdapter(method).json_schema(ref_template="#/$defs/{model}")
        definitions |= of_kind.pop("$defs", {})
        properties = {name: one for name, one in of_kind["properties"].items() if name != "learning_rate"}
        options.append(
            {
                "title": kind,
                "description": of_kind.get("description", ""),
                "type": "object",
                "properties": {"kind": {"const": kind}, **properties},
                "additionalProperties": False,
            }
        )
    return {**definitions, "MethodOptions": {"anyOf": options}}


def _open_to_files(definition: dict[str, Any]) -> None:
    """What a file may have besides the study's own fields."""
    definition["properties"]["as_released"] = {
        "type": "object",
        "description": "Settings that take the place of the file's own with --as-released: the details and defects of "
        "a paper's released runs.",
    }
