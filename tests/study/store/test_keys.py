"""Facts about keys: a cell's key depends on everything that its numbers depend on, and on nothing else."""

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.study.conftest import key_of_cell

from demograd.metrics import METRICS
from demograd.study import Study, cells, make_study
from demograd.study.language_model.grid import World, demonstrations_label, worlds
from demograd.study.language_model.keys import (
    Inputs,
    network_key,
    observation_key,
    orders_key,
    token_fingerprints,
    what_changed,
)
from demograd.study.language_model.measures import MEASURES, versions
from demograd.study.language_model.prompts import Prepared
from demograd.study.store.cache import content_hash
from demograd.study.store.keys import path_safe, study_key
from demograd.tasks import Prompts, TrainingSequence
from demograd.words import Labels, Weights

SETTINGS: dict[str, Any] = {
    "model": "here/model",
    "weights": ["trained", "no_training"],
    "tasks": ["sst2"],
    "k": 3,
    "seeds": [0, 1],
    "learning_rates": {"GD": [0.01], "LCGD": [0.01]},
    "measures": ["similarity"],
}


def study(**changes: Any) -> Study:
    return make_study({**SETTINGS, **changes})


def inputs(study: Study, **tokens: str) -> Inputs:
    """Inputs in which token ids differ by demonstration set, except for ZSL's, which are the same for all."""
    parts = ("ICL", "FT", "orders", *(f"FT_{control}" for control in study.controls))
    return Inputs(
        networks=dict.fromkeys(study.models, "weights"),
        tokens={
            demonstrations_label(world): {"ZSL": "queries"} | {part: f"{part} {world.seed}" for part in parts} | tokens
            for world in worlds(study)
        },
        numerics=1,
        initialisation="libraries",
    )


def hashes(study: Study, base: Inputs | None = None) -> list[str]:
    base = base or inputs(study)
    return [content_hash(key_of_cell(study, cell, base)) for cell in cells(study)]


NAMES = st.text(alphabet="a,\\ k1", max_size=6)


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_no_two_demonstration_sets_have_one_label(first: tuple[str, str], other: tuple[str, str]) -> None:
    labels = [
        demonstrations_label(World(model, Weights.TRAINED, 0, task, Labels.GOLD, 1, 0, 0))
        for model, task in (first, other)
    ]
    assert (labels[0] == labels[1]) == (first == other)


def test_a_comma_in_a_path_makes_no_label_of_another_set() -> None:
    example = study(model=["runs/a", "runs/a, b"], tasks=["b, sst2.csv", "sst2.csv"], seeds=[0])
    assert len({demonstrations_label(world) for world in worlds(example)}) == 4
    assert demonstrations_label(next(worlds(study()))) == "here/model, sst2, gold labels, k 3, seed 0"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another study"},
        {"model": "the/same/weights/elsewhere"},
        {"tasks": ["the same text.csv"]},
        {
            "methods": {"mine": {"kind": "GD"}, "theirs": {"kind": "LCGD"}},
            "learning_rates": {"mine": [0.01], "theirs": [0.01]},
        },
        {"measures": ["similarity", "sparsity", "reordering"]},
        {"queries": 50, "template": "other words, {text}", "separator": "eos"},  # seen in the token ids or not at all
    ],
)
def test_a_name_is_no_part_of_what_a_cell_is(changes: dict[str, Any]) -> None:
    assert hashes(study(**changes)) == hashes(study())


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "bfloat16"},
        {"place": "after_norm"},
        {"learning_rates": {"GD": [0.02], "LCGD": [0.02]}},
        {"methods": {"GD": {"epochs": 2}, "LCGD": {"epochs": 2}}},
        {"controls": []},
        {"matching": False},
        {"observe_at": [2]},
        {"measures": ["similarity", "alpha"]},
        {"measures": ["similarity", "order_sensitivity"]},
    ],
)
def test_a_setting_that_changes_numbers_makes_other_cells(changes: dict[str, Any]) -> None:
    assert set(hashes(study(**changes))).isdisjoint(hashes(study()))


@pytest.mark.parametrize("part", ["ZSL", "ICL", "FT", "FT_permuted_labels"])
def test_other_token_ids_make_other_cells(part: str) -> None:
    assert set(hashes(study(), inputs(study(), **{part: "other"}))).isdisjoint(hashes(study()))


class TokenizerOfAFolder:
    """One that knows where it came from, as those of transformers do."""

    name_or_path = "models/mine"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("token ids are not made of text again")

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("token ids are not turned into text")


def test_a_fingerprint_is_of_token_ids_and_nothing_else() -> None:
    """Written out, so that a field that is added to prompts does not make all runs begin anew; a tokenizer,
    which knows its folder, counts for nothing."""
    zsl = Prompts([0], [[5, 6], [7]], [[1], [2]], [0, 1], tokenizer=TokenizerOfAFolder())
    fields = {"context": [0], "queries": [[5, 6], [7]], "candidates": [[1], [2]], "gold": [0, 1], "answer_offset": -1}
    text = json.dumps({**fields, "demonstration_spans": [], "query_position": None}, sort_keys=True)
    prepared = Prepared(0, 0, zsl, zsl, {"FT": [TrainingSequence([0, 5, 1], [False, False, True])]}, [], True)
    assert token_fingerprints(prepared)["ZSL"] == hashlib.sha256(text.encode()).hexdigest()


def test_other_orders_matter_where_they_are_looked_at() -> None:
    looks, other = study(measures=["order_sensitivity"]), {"orders": "other"}
    assert hashes(study(), inputs(study(), **other)) == hashes(study())
    assert set(hashes(looks, inputs(looks, **other))).isdisjoint(hashes(looks))


@pytest.mark.parametrize("change", [{"networks": {"here/model": "other"}}, {"numerics": 2}])
def test_other_weights_or_numerics_make_other_cells(change: dict[str, Any]) -> None:
    base = inputs(study())
    assert set(hashes(study(), replace(base, **change))).isdisjoint(hashes(study(), base))


def test_what_draws_untrained_weights_matters_to_these_alone() -> None:
    base = inputs(study())
    before, after = (
        {cell: key_of_cell(study(), cell, variant) for cell in cells(study())}
        for variant in (base, replace(base, initialisation="newer libraries"))
    )
    changed = {cell.world.weights for cell in before if before[cell] != after[cell]}
    assert changed == {"no_training"}
    for otherwise in (study(final_norm_lost=True), study(drawn_as="fairseq")):
        assert {
            cell.world.weights for cell in cells(otherwise) if key_of_cell(otherwise, cell, base) not in before.values()
        } == changed


def registered(monkeypatch: pytest.MonkeyPatch, measure: str, **changes: Any) -> None:
    """Register one more metric, as a user does, in an existing measure or in a new one."""
    mine = replace(
        METRICS["sim_aou"], **{"name": "mine", "title": "mine", "source": "me", "measure": measure} | changes
    )
    monkeypatch.setitem(METRICS, "mine", mine)


def keys(study: Study) -> tuple[list[str], str]:
    """The keys of the cells, and of an observation, in a run that begins now."""
    base = replace(inputs(study), versions=versions(study))
    return hashes(study, base), observation_key(study, next(worlds(study)), "ICL", [*worlds(study)], base)


def test_a_metric_that_is_new_or_of_another_version_makes_other_cells_of_the_same_observations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, observed = keys(study())
    assert keys(study()) == (before, observed)
    registered(monkeypatch, "similarity")
    added, same = keys(study())
    registered(monkeypatch, "similarity", version=2)
    raised, also = keys(study())
    assert len({*before, *added, *raised}) == 3 * len(before)
    assert observed == same == also


def test_a_metric_of_spans_that_every_study_measures_makes_other_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    before, observed = keys(study())
    size = {"group": "size", "arguments": ("icl", "ft", "spans")}
    registered(monkeypatch, "size", **size)
    added, same = keys(study())
    registered(monkeypatch, "size", version=2, **size)
    raised, also = keys(study())
    assert len({*before, *added, *raised}) == 3 * len(before)
    assert observed == same == also


def test_an_extra_of_a_metric_of_performance_makes_other_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    before, observed = keys(study())
    registered(monkeypatch, "performance", group="performance", arguments=("observation",))
    assert keys(study()) == (before, observed), "which nothing is recorded for"
    recorded = {"ICL": ("next_token_log_probs",)}
    registered(monkeypatch, "performance", group="performance", arguments=("observation",), extras=recorded)
    added, other = keys(study())
    assert set(added).isdisjoint(before) and other != observed


def test_a_measure_of_ones_own_makes_other_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = keys(study())
    registered(monkeypatch, "my measure")
    assert keys(study())[0] == before, "which is not asked for"
    assert set(keys(study(measures=["similarity", "my measure"]))[0]).isdisjoint(before)
    monkeypatch.setitem(MEASURES, "similarity", replace(MEASURES["similarity"], version=99))
    assert set(keys(study())[0]).isdisjoint(before)


def test_a_folder_is_read_by_the_versions_that_it_was_written_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder from before versions were stored is read as well."""
    old, base = inputs(study()), replace(inputs(study()), versions=versions(study()))
    before = hashes(study(), old), hashes(study(), base)
    registered(monkeypatch, "similarity")
    assert (hashes(study(), old), hashes(study(), base)) == before


def test_a_changed_definition_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(inputs(study()), versions=versions(study()))
    monkeypatch.setitem(METRICS, "sim_am", replace(METRICS["sim_am"], version=2))
    assert what_changed(before, replace(before, versions=versions(study()))) == ["the metric sim_am"]


def test_all_cells_of_a_grid_have_keys_of_their_own() -> None:
    grid = study(k=[3, 4], learning_rates={"GD": [0.01, 0.1], "LCGD": [0.01]})
    distinct = Inputs(
        **{
            **vars(inputs(grid)),
            "tokens": {
                demonstrations_label(world): {
                    part: f"{part} {world.k} {world.seed}" for part in ("ZSL", "ICL", "FT", "FT_permuted_labels")
                }
                for world in worlds(grid)
            },
        }
    )
    assert len(set(hashes(grid, distinct))) == len(list(cells(grid))) == 2 * 2 * 2 * 3


def test_observations_are_shared_by_the_worlds_that_have_the_same_tokens() -> None:
    example = study(initialisations=[0, 5])
    base = inputs(example)
    all_worlds = [*worlds(example)]
    zsl = {observation_key(example, world, "ZSL", all_worlds, base) for world in all_worlds}
    icl = {observation_key(example, world, "ICL", all_worlds, base) for world in all_worlds}
    assert len(zsl) == 3 and len(icl) == 6  # the trained network, and one for each initialisation
    assert len({orders_key(example, world, all_worlds, base) for world in all_worlds}) == 6


def test_of_how_many_queries_the_attention_is_recorded_is_in_the_keys_of_what_holds_it() -> None:
    def keys_of(example: Study) -> dict[tuple[str, int], str]:
        group = [world for world in worlds(example) if world.weights == Weights.TRAINED]
        base = inputs(example)
        return {
            (setting, world.seed): observation_key(example, world, setting, group, base)
            for world in group
            for setting in ("ZSL", "ICL")
        }

    few, many = keys_of(study(attention_queries=2)), keys_of(study(attention_queries=5))
    assert {name for name in few if few[name] != many[name]} == {("ZSL", 0), ("ZSL", 1), ("ICL", 0)}


def test_where_a_study_matches_a_cell_depends_on_icl_on_every_set_of_its_group_and_on_no_fine_tuning_there() -> None:
    def first_cell(example: Study, **other_set: str) -> str:
        base = inputs(example)
        changed = {
            demonstrations_label(world): {**base.tokens[demonstrations_label(world)]}
            | (other_set if world.seed == 1 else {})
            for world in worlds(example)
        }
        cell = next(cell for cell in cells(example) if cell.world.seed == 0)
        return content_hash(key_of_cell(example, cell, replace(base, tokens=changed)))

    assert first_cell(study(), ICL="other") != first_cell(study())
    assert first_cell(study(), FT="other", FT_permuted_labels="other", orders="other") == first_cell(study())
    assert first_cell(study(seeds=[0, 1, 2])) != first_cell(study())
    alone = study(matching=False)
    assert first_cell(alone, ICL="other") == first_cell(alone) == first_cell(study(matching=False, seeds=[0, 1, 2]))


def test_a_distance_to_the_last_checkpoint_depends_on_it_and_sparsity_does_not() -> None:
    example = study(checkpoints=["one", "last"], weights=["trained"])
    base = inputs(example)
    moved = replace(base, networks={"one": "weights", "last": "other"})
    of_one = {
        measure: [network_key(example, "one", Weights.TRAINED, 0, measure, variant) for variant in (base, moved)]
        for measure in ("sparsity", "training_time")
    }
    assert of_one["sparsity"][0] == of_one["sparsity"][1]
    assert of_one["training_time"][0] != of_one["training_time"][1]


def test_what_changed_is_told_in_words() -> None:
    base = inputs(study())
    assert what_changed(base, base) == []
    changes = what_changed(replace(base, numerics=0, networks={"here/model": "other"}), base)
    assert changes == ["the model here/model", "how demograd computes"]


def test_inputs_are_the_same_after_json() -> None:
    base = inputs(study())
    assert Inputs(**json.loads(json.dumps(vars(base)))) == base


@given(title=st.text(), other=st.text())
def test_no_name_leaves_the_folder(title: str, other: str) -> None:
    example = study().model_copy(update={"model": title, "tasks": [other]})  # some would be refused in a study file
    keys = [key_of_cell(example, cell, inputs(example)) for cell in cells(example)]
    keys += [
        network_key(example, example.model, Weights.TRAINED, 0, "sparsity", inputs(example)),
        f"{path_safe(title)}-{study_key(example)}",
    ]
    # one part of a path, on file systems with names of 143 bytes (eCryptfs) too, with what is put around it
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,113}", key) for key in keys)
