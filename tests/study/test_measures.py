"""Facts about measures: their queries, their orders, and their messages where there is nothing to measure."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.study.conftest import OVERFLOWS, key_of_cell, small_settings
from tests.study.test_run import Listening

from demograd import UserError, load_model, load_task, observe, read_study
from demograd.files import read_json
from demograd.learn import Diverged, fine_tuned, fine_tuned_together
from demograd.metrics import implicit_update, random_attention_to_demonstrations
from demograd.models import Model
from demograd.observe.rotary import has_rotary_keys
from demograd.study import cells, make_study, run_study
from demograd.study.language_model.grid import World, extras, worlds
from demograd.study.language_model.groups import by_task_and_k
from demograd.study.language_model.keys import observation_key, read_inputs
from demograd.study.language_model.prompts import prepare
from demograd.words import Labels, Weights


def ran(model: Path, out: Path, watch: Listening | None = None, **changes: Any) -> pd.DataFrame:
    """The results of a run of GD on trained weights, without controls."""
    settings = {"weights": ["trained"], "controls": [], "methods": ["GD"], "learning_rates": {"GD": [0.01]}}
    run_study(make_study(small_settings(model, **{**settings, **changes})), out, watch)
    return pd.read_parquet(out / "results.parquet")


def test_pairs_of_layers_over_corrected_queries_are_not_those_over_all(small_model: Path, tmp_path: Path) -> None:
    table = ran(
        small_model, tmp_path / "out", measures=["layer_by_layer", "similarity"], selections=["all", "corrected"]
    )
    pairs = table[(table.metric == "layer_by_layer_sim_aou") & (table.setting == "FT")]
    plain = table[(table.metric == "sim_aou") & table.layer.isna() & table.seed.isna() & (table.setting == "FT")]
    plain = plain[plain.versus.isna()]
    for selection in ("all", "corrected"):
        (n_queries,) = plain[plain.selection == selection].n / 2  # two layers
        assert (pairs[pairs.selection == selection].n == n_queries).all()
    assert set(pairs[pairs.selection == "corrected"].n) != set(pairs[pairs.selection == "all"].n)


def test_what_is_measured_on_networks_alone_goes_with_fine_tuning(small_model: Path, tmp_path: Path) -> None:
    table = ran(small_model, tmp_path / "out", measures=["similarity", "training_time", "sparsity"])
    assert {"parameter_distance", "sparsity_ratio", "sim_aou"} <= set(table[table.status == "ok"].metric)


def test_chance_is_drawn_anew_for_each_demonstration_set(small_model: Path, tmp_path: Path) -> None:
    settings = small_settings(
        small_model,
        weights=["trained"],
        controls=[],
        methods=["GD"],
        seeds=[0, 1],
        learning_rates={"GD": [0.01]},
        measures=["attention_to_demonstrations"],
    )
    study = make_study(settings)
    folder = run_study(study, tmp_path / "out").folder
    model, tasks = load_model(str(small_model)), {"sst2": load_task("sst2")}
    for cell in cells(study):
        icl = folder.load_observation(observation_key(study, cell.world, "ICL", [*worlds(study)], read_inputs(folder)))
        spans = prepare(study, tasks, model, cell.world).icl.demonstration_spans
        stored = folder.load_cell(key_of_cell(study, cell, read_inputs(folder))).tensors[
            "FT/random_attention_kendall_by_token"
        ]
        expected = random_attention_to_demonstrations(icl, spans, seed=cell.world.seed).kendall_by_token
        assert torch.equal(stored, expected) and stored.abs().max() > 0


def test_no_order_is_trained_on_twice(small_model: Path, tmp_path: Path) -> None:
    watch = Listening()
    table = ran(small_model, tmp_path / "out", watch, measures=["order_sensitivity"], orders=4, seeds=[0])
    settings = [setting for _, setting in watch.started]
    orders = [setting for setting in settings if setting.startswith("FT, another order")]
    assert settings.count("FT, 4 fine-tunings") == 1
    assert (settings.count("FT"), len(orders), len({*orders})) == (1, 3, 3)
    assert (settings.count("ICL"), settings.count("ICL, another order")) == (1, 3)
    spread = table[(table.metric == "order_sensitivity") & table.seed.isna()].set_index("setting").value
    assert spread["FT"] > 0 and spread["ICL"] > 0


def test_an_order_on_which_training_diverges_is_said(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Divergence on one order alone depends on the data: this test makes the run's third training diverge."""

    @contextmanager
    def diverges_third(*arguments: Any, **options: Any) -> Iterator[Any]:
        with fine_tuned_together(*arguments, **options) as trained:
            trained[2].diverged = Diverged(2, "the loss")
            yield trained

    monkeypatch.setattr("demograd.study.language_model.cell.fine_tuned_together", diverges_third)
    table = ran(small_model, tmp_path / "out", measures=["order_sensitivity"], orders=4, seeds=[0])
    of_ft = table[(table.metric == "order_sensitivity") & (table.setting == "FT")]
    assert not of_ft.empty and of_ft.status.str.startswith("diverged at step 2").all() and of_ft.value.isna().all()
    assert (table[(table.metric == "accuracy") & (table.setting == "FT")].status == "ok").all()


def test_a_method_that_diverges_has_a_word_for_everything_asked(steep_model: Path, tmp_path: Path) -> None:
    table = ran(
        steep_model,
        tmp_path / "out",
        measures=["order_sensitivity", "attention_to_demonstrations"],
        learning_rates={"GD": [OVERFLOWS]},
        seeds=[0],
    )
    of_ft = table[table.setting == "FT"]
    assert of_ft.status.str.startswith("diverged").all()
    assert {"order_sensitivity", "attention_kendall_by_token", "accuracy"} <= set(of_ft.metric)


def test_attention_to_demonstrations_takes_one_order_for_both(small_model: Path) -> None:
    changes = {"measures": ["attention_to_demonstrations"], "fine_tuning_order": "as_released"}
    with pytest.raises(UserError, match="attention_to_demonstrations"):
        make_study(small_settings(small_model, **changes, permutations=[0, 1, 2]))
    make_study(small_settings(small_model, **changes, permutations=[0]))
    with pytest.raises(UserError, match="order_sensitivity"):
        make_study(small_settings(small_model, measures=["order_sensitivity"], fine_tuned_on="all"))


def test_released_runs_trained_also_on_what_their_prompts_could_not_show(small_model: Path) -> None:
    model, task = load_model(str(small_model), device="cpu"), load_task("sst2")
    world = World("any", Weights.TRAINED, 0, "sst2", Labels.GOLD, 40, 0, 0)
    fitting, everything = (
        prepare(make_study(small_settings(small_model, fine_tuned_on=on)), {"sst2": task}, model, world)
        for on in ("fitting", "all")
    )
    assert everything.icl == fitting.icl and everything.k_used == fitting.k_used < 40
    for setting, sequences in everything.training.items():
        assert len(sequences) == 40 and sequences[: fitting.k_used] == fitting.training[setting]
    released = (read_study(f"deutch2024-table{number}", as_released=True) for number in (1, 2))
    assert all(study.fine_tuned_on == "all" for study in released)


def test_what_a_finished_task_loaded_is_let_go_before_the_next(small_model: Path, tmp_path: Path) -> None:
    """Observations of many tasks, with what the implicit update needs, do not fit into a laptop's memory."""
    study = make_study(
        small_settings(
            small_model,
            weights=["trained"],
            tasks=["sst2", "mr"],
            methods=[],
            seeds=[0],
            learning_rates={},
            measures=["implicit_update"],
        )
    )
    run = run_study(study, tmp_path / "out")
    notes = run.folder.read_json("provenance.json")["notes"]
    assert any(note.startswith("Implicit update: keys are rotary, so ΔW_FT is taken") for note in notes)
    groups, alive = by_task_and_k(run.study, run.folder), []
    for group in groups:
        assert not any(reference() is not None for reference in alive)
        icl = group[0].icl[0]
        assert icl.context_value_key_products is None and icl.label_log_probs.shape == (8, 2)
        alive.append(weakref.ref(icl))
        del group, icl
        gc.collect()
    assert len(alive) == 2


def implicit(table: pd.DataFrame) -> pd.Series:
    """The three numbers of the implicit update over everything."""
    rows = table[table.metric.str.startswith("implicit_update") & table.seed.isna() & table.layer.isna()]
    return rows[rows.setting == "FT"].set_index("metric").value


def test_the_implicit_update_of_a_rotary_model_is_taken_where_queries_stand_in_icl(
    small_model: Path, tmp_path: Path
) -> None:
    """ΔW_FT is the same whether all positions are aligned or only those for this measure.

    The same query at its position without demonstrations gives another ΔW_FT, in a frame rotated against ICL's.
    """
    changes: dict[str, Any] = {"measures": ["implicit_update"], "seeds": [0], "queries": 4}
    alone = implicit(ran(small_model, tmp_path / "alone", **changes))
    throughout = implicit(ran(small_model, tmp_path / "throughout", align_positions=True, **changes))
    for name in ("implicit_update", "implicit_update_weighted"):
        assert alone[name] == pytest.approx(throughout[name], abs=1e-5)
    study = make_study(
        small_settings(
            small_model, weights=["trained"], controls=[], methods=["GD"], learning_rates={"GD": [0.01]}, **changes
        )
    )
    [cell] = cells(study)
    model, tasks = load_model(str(small_model)), {"sst2": load_task("sst2")}
    prepared = prepare(study, tasks, model, cell.world)
    zsl, icl = (
        observe(model, prompts, extras=extras(study, setting))
        for setting, prompts in (("ZSL", prepared.zsl), ("ICL", prepared.icl))
    )
    with fine_tuned(model, prepared.training["FT"], study.method("GD", 0.01)) as tuned:
        rotated = implicit_update(zsl, icl, observe(tuned, prepared.zsl, extras=extras(study, "FT")))
    assert abs(rotated.nanmean().item() - alone["implicit_update"]) > 1e-3


def test_where_rotary_queries_cannot_be_put_elsewhere_the_implicit_update_is_missing_and_named(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No known architecture is rotary and cannot be packed: the test declares one unpackable."""
    for module in ("observing", "experiment"):
        monkeypatch.setattr(f"demograd.study.language_model.{module}.way_at_length", lambda model, prompts: "unpacked")
    table = ran(small_model, tmp_path / "out", measures=["implicit_update"], seeds=[0], queries=4)
    of_ft = table[(table.setting == "FT") & table.seed.isna() & table.layer.isna()].set_index("metric")
    for name in ("implicit_update", "implicit_update_weighted"):
        assert of_ft.status[name] == "missing" and of_ft.n[name] == 0 and of_ft.n_missing[name] > 0
    assert of_ft.status["implicit_update_validity"] == "ok"
    notes = read_json(tmp_path / "out" / "provenance.json")["notes"]
    assert any(note.startswith("Implicit update: missing. Keys are rotary") for note in notes)


@pytest.mark.parametrize(
    ("kind", "rotary"),
    [
        ("llama", True),
        ("gpt_neox", True),
        ("gptj", True),
        ("smollm3", True),
        ("gpt2", False),
        ("xglm", False),
        ("bloom", False),
    ],
)
def test_which_models_turn_their_keys(random_model: Callable[..., Model], kind: str, rotary: bool) -> None:
    assert has_rotary_keys(random_model(kind).anatomy) == rotary
