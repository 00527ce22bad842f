"""The JSON schema of a study file, for editors: what each field means, and what it may be."""

from typing import Any

from pydantic.json_schema import models_json_schema

from demograd.study.language_model.measures import measures
from demograd.study.language_model.spec import Study
from demograd.study.spec.files import presets_as_released
from demograd.study.synthetic.spec import SyntheticStudy


def json_schema() -> dict[str, Any]:
    """The schema of both kinds of study, told apart by `kind: synthetic` (JSON Schema 2020-12)."""
    schemas = [(Study, "validation"), (SyntheticStudy, "validation")]
    _, whole = models_json_schema(schemas, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    definitions = whole["$defs"]
    measure = {"enum": [*measures()]}
    definitions["Study"]["properties"]["measures"]["anyOf"] = [
        measure,
        {"type": "array", "items": measure, "minItems": 1},
    ]
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


def _open_to_files(definition: dict[str, Any]) -> None:
    """Add the section that a file may have besides the study's own fields."""
    definition["properties"]["as_released"] = {
        "anyOf": [{"type": "object"}, {"enum": [*presets_as_released()]}],
        "description": "Settings that take the place of the file's own with --as-released: the details and defects of "
        "a paper's released runs; or the preset whose section is shared.",
    }
