"""Facts about the JSON schema: it allows what a study allows, explains every field, and refuses a misspelt one."""

from dataclasses import fields
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from demograd.learn import Method, methods
from demograd.study import Study, SyntheticStudy, preset_names, read_study
from demograd.study.spec.files import PRESETS
from demograd.study.spec.json_schema import json_schema

VALIDATOR = Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_fits_as_a_file_and_with_all_settings_filled_in(name: str) -> None:
    as_written = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    for settings in (as_written, read_study(name).model_dump(mode="json")):
        assert [error.message for error in VALIDATOR.iter_errors(settings)] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"queriez": 3},
        {"k": "many"},
        {"k": []},
        {"k": True},
        {"seeds": 2**32},
        {"seeds": {"sst2": "many"}},
        {"orders": 1},
        {"as_released": "deutch2024-tabel2"},
        {"as_released": "dai2023"},
        {"weights": "untrained"},
        {"weights": ["untrained"]},
        {"methods": ["LGCD"]},
        {"methods": {"GD": {"epoch": 2}}},
        {"exclude": [{"taks": "sst2"}]},
        {"pair": [["k", "queries"]]},
        {"kind": "synthetic", "networks": {"n": {}}},
        {"kind": "synthetic", "networks": {"n": {}}, "worlds": {"w": {"kind": "linear", "dimension": 0}}},
    ],
)
def test_what_a_study_refuses_an_editor_underlines(settings: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 8},
        {"exclude": [{"k": 8, "weights": "trained"}]},
        {"as_released": "deutch2024-table2"},
        {"as_released": "deutch2024-figures"},
        {"as_released": {"k": 32}},
        {"model": ["a/b", "c"]},
        {"weights": "trained"},
        {"tasks": "sst2"},
        {"seeds": 3},
        {"seeds": {"sst2": 3, "mr": [4]}},
        {"controls": "other_task"},
        {"measures": "similarity"},
        {"selections": "all"},
        {"checkpoints": "@step1"},
        {"permutations": 1},
        {"learning_rates": {"GD": 0.1, "LCGD": {"a/b": {"sst2": 0.1}, "c": [0.1]}}},
        {
            "kind": "synthetic",
            "networks": {"n": {}},
            "worlds": {"w": {"kind": "linear", "dimension": 1, "spectrum": 2}},
            "seeds": 1,
            "references": "GD",
            "scales": 2,
        },
    ],
)
def test_one_value_stands_for_a_list_of_one(settings: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(settings)) == []


@pytest.mark.parametrize("schema", [Study, SyntheticStudy])
def test_every_field_says_what_it_means(schema: type[Study] | type[SyntheticStudy]) -> None:
    described = json_schema()["$defs"][schema.__name__]["properties"]
    assert [name for name in schema.model_fields if not described[name].get("description")] == []


@pytest.mark.parametrize("method", methods().values())
def test_every_option_of_a_method_says_what_it_means(method: type[Method]) -> None:
    described = json_schema()["$defs"][method.__name__]["properties"]
    options = {field.name for field in fields(method)} - {"learning_rate"}
    assert set(described) == options | {"kind"}
    assert [name for name in options if not described[name].get("description")] == []
