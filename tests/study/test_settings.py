"""Facts about a study's settings: which are refused, and where learning rates come from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from demograd import UserError, read_study
from demograd.learn.method import methods
from demograd.study import Study, SyntheticStudy, make_study, preset_names
from demograd.study.spec.learning_rates import resolved
from demograd.study.spec.validation import members, validated
from demograd.tasks.prompts import MOST_ORDERS

PRESETS = [name for name in preset_names() if isinstance(read_study(name), Study)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metod": ["GD"]}, ["metod", "Did you mean methods"]),
        ({"methods": ["LGCD"]}, ["LGCD", "Did you mean"]),
        ({"weights": ["traind"]}, ["traind", "Did you mean trained"]),
        ({"k": 0}, ["k = 0", "greater than 0"]),
        ({"k": "many"}, ["k = 'many'", "integer"]),
        ({"methods": {"GD": {"momentum": 2}}}, ["momentum 2", "below 1"]),
        ({"methods": {"GD": {"momentun": 0.5}}}, ["momentun", "Did you mean momentum"]),
        ({"methods": {"GD": {"parameters": {"layers": "top"}}}}, ["methods.GD.parameters.layers", "'top'"]),
        ({"methods": {"mine": {"optimizer": "adam"}}}, ["mine", "kind"]),
        ({"methods": {"mine": {"kind": "SGD"}}}, ["methods.mine.kind", "GD, LCGD"]),
        ({"measures": ["simlarity"]}, ["simlarity", "Did you mean similarity"]),
        ({"permutations": [0, 1]}, ["permutations", "2 orders for 8 seeds"]),
        ({"seeds": {"mr": [1]}}, ["sst2"]),
        ({"learning_rates": {"Adma": [0.1]}}, ["Adma", "GD, LCGD"]),
        ({"seeds": [0, 0]}, ["seeds = [0, 0]. Expected: each value once."]),
        ({"seeds": [-1]}, ["seeds = -1", "greater than or equal to 0"]),
        ({"seeds": 99999999999999999999}, ["seeds = 99999999999999999999", "less than 4294967296"]),
        ({"seeds": {"sst2": 2**32}}, ["seeds.sst2 = 4294967296", "less than 4294967296"]),
        ({"query_seed": 2**32}, ["query_seed = 4294967296", "less than 4294967296"]),
        ({"permutations": MOST_ORDERS}, ["permutations = 10000", "less than 10000"]),
        ({"orders": MOST_ORDERS + 1}, ["orders = 10001", "less than or equal to 10000"]),
        ({"methods": {"GD": {"epochs": True}}}, ["methods.GD.epochs = True", "neither true nor false"]),
        ({"methods": {"GD": {"parameters": {"seed": False}}}}, ["methods.GD.parameters.seed = False"]),
        ({"methods": {"GD": {"parameters": {"layers": [True, 2]}}}}, ["methods.GD.parameters.layers = [True, 2]"]),
        ({"learning_rates": {"GD": [-0.1]}}, ["learning_rates.GD", "greater than 0"]),
        ({"learning_rates": {"GD": [float("inf")]}}, ["learning_rates.GD", "finite"]),
        ({"tasks": []}, ["tasks", "at least 1"]),
        ({"labels": ["abstarct"]}, ["abstarct", "Did you mean abstract"]),
        ({"controls": ["other_demonstrations"]}, ["other_demonstrations", "permuted_labels"]),
        ({"controls": ["other_sets"]}, ["other_sets", "permuted_labels"]),
        ({"specificity_margin": 0}, ["specificity_margin = 0", "greater than 0"]),
        ({"observe_at": [2, 2]}, ["observe_at = [2, 2]. Expected: each value once."]),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        make_study(settings)
    assert all(word in str(error.value) for word in words), str(error.value)


REQUIRED = {"dimension": 2, "kernel": "relu"}


def true_for_a_number(annotation: Any) -> Iterator[Any]:
    """Valid values of this type, but with `True` in the place of one number."""
    for member in members(annotation):
        if member in (int, float):
            yield True
        elif get_origin(member) in (list, dict):
            wraps = (lambda below: [below]) if get_origin(member) is list else (lambda below: {"sst2": below})
            yield from map(wraps, true_for_a_number(get_args(member)[-1]))
        elif isinstance(member, type) and issubclass(member, BaseModel):
            kinds = {
                name: get_args(field.annotation)[0] for name, field in member.model_fields.items() if name == "kind"
            }
            rest = kinds | {name: value for name, value in REQUIRED.items() if name in member.model_fields}
            for name, field in member.model_fields.items():
                yield from (rest | {name: below} for below in true_for_a_number(field.annotation))


@pytest.mark.parametrize(("schema", "at_least"), [(Study, 14), (SyntheticStudy, 41)])
def test_true_is_no_number_in_any_field(schema: type[BaseModel], at_least: int) -> None:
    """Python takes `True` for 1, so that `k: yes` would run with one demonstration."""
    whole = {"kind": "synthetic", "worlds": {"w": {"dimension": 2}}, "networks": {"n": {}}}
    rest = whole if schema is SyntheticStudy else {}
    examples = [
        rest | {name: value}
        for name, field in schema.model_fields.items()
        for value in true_for_a_number(field.annotation)
    ]
    assert len(examples) >= at_least
    for settings in examples:
        with pytest.raises(UserError, match=r"= True.* Expected: a number; YAML reads yes, on and true as true"):
            validated(schema, settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "norms_only"),
        ("initialisations", 3),
        ("labels", "abstract"),
        ("observe_at", 2),
        ("tasks", "mr"),
        ("k", 3),
        ("seeds", 7),
        ("permutations", 2),
        ("methods", "LCGD"),
        ("controls", "other_task"),
        ("measures", "alpha"),
        ("selections", "corrected"),
        ("checkpoints", "@step1"),
    ],
)
def test_one_value_is_a_list_of_it_and_a_tuple_is_a_list(name: str, value: Any) -> None:
    many = make_study({name: [value]})
    assert many != Study()
    assert many == make_study({name: value}) == make_study({name: (value,)}) == Study(**{name: value})


def test_one_rate_is_a_list_of_it_wherever_rates_are_named() -> None:
    rates = {"GD": 0.1, "LCGD": {"sst2": 0.2, "smollm2-135m": {"sst2": (0.3,)}}}
    lists = {"GD": [0.1], "LCGD": {"sst2": [0.2], "smollm2-135m": {"sst2": [0.3]}}}
    assert make_study({"learning_rates": rates}).learning_rates == lists
    assert make_study({"seeds": {"sst2": 4}}).seeds == {"sst2": [4]}
    assert make_study({"seeds": range(3)}).seeds == [0, 1, 2]


@pytest.mark.parametrize("text", ["k: [", "just words", "- a\n- list", "!!python/object/apply:os.system ['true']", ""])
def test_a_study_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"mine\.yaml"):
        read_study(str(file))


def test_a_study_file_is_named_after_itself_and_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("k: 4\nseeds: [0, 1]\n")
    study = read_study(str(file), k=5)
    assert (study.name, study.k, study.seeds) == ("mine", [5], [0, 1])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_study_with_rates_for_all_its_methods(name: str) -> None:
    as_read = read_study(name)
    study, sources = resolved(as_read)
    for method, rates in study.learning_rates.items():
        if method in as_read.learning_rates:
            assert "named in the study" in sources[method]
        elif isinstance(rates, list):
            assert rates == [methods()[method].default_rate] and "strength" in sources[method]
        else:
            assert set(rates) == set(study.tasks) and "sweep" in sources[method]


@pytest.mark.parametrize("name", ["deutch2024-table1", "deutch2024-table2", "deutch2024-figures"])
def test_a_released_run_has_its_own_sizes_and_rates(name: str) -> None:
    study = read_study(name, as_released=True)
    assert (study.model, study.k, study.separator) == ("KoboldAI/fairseq-dense-1.3B", [32], "eos")
    assert [study.permutation_of("mr", seed) for seed in study.seeds_of("mr")] == [0, 1, 2]
    assert study.queries_of("cb") == 56 and resolved(study)[0].learning_rates["GD"]["cb"] == [0.08]


def test_a_model_that_was_not_swept_needs_rates() -> None:
    with pytest.raises(UserError, match="--learning-rate GD="):
        resolved(make_study({"model": "some/other"}))
    with pytest.raises(UserError, match="with these options"):  # swept without clipping
        resolved(make_study({"methods": {"GD": {"clip": 1.0}}}))
    study, sources = resolved(make_study({"model": "some/other", "learning_rates": {"GD": [0.1], "LCGD": [0.2]}}))
    assert study.learning_rates == {"GD": [0.1], "LCGD": [0.2]} and sources["GD"] == "named in the study"
