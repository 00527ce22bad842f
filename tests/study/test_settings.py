"""Facts about studies: what they refuse, and where learning rates come from."""

from pathlib import Path

import pandas as pd
import pytest

from demograd import UserError, read_study
from demograd.study import Study, make_study, preset_names
from demograd.study.learning_rates import TABLE, best_rate, resolved

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
        ({"permutations": [0, 1]}, ["permutations", "2 orders for 5 seeds"]),
        ({"seeds": {"mr": [1]}}, ["sst2"]),
        ({"learning_rates": {"Adma": [0.1]}}, ["Adma", "GD, LCGD"]),
        ({"seeds": [0, 0]}, ["seeds = [0, 0]. Expected: each value once."]),
        ({"seeds": [-1]}, ["seeds = -1", "greater than or equal to 0"]),
        ({"learning_rates": {"GD": [-0.1]}}, ["learning_rates.GD", "greater than 0"]),
        ({"learning_rates": {"GD": [float("inf")]}}, ["learning_rates.GD", "finite"]),
        ({"tasks": []}, ["tasks", "at least 1"]),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        make_study(settings)
    assert all(word in str(error.value) for word in words), str(error.value)


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
    study, sources = resolved(read_study(name))
    for method in study.methods:
        named = method in read_study(name).learning_rates
        assert named or set(study.learning_rates[method]) == set(study.tasks)
        assert ("named in the study" if named else "sweep") in sources[method]


@pytest.mark.parametrize("name", ["deutch2024-table1", "deutch2024-table2"])
def test_a_released_run_has_its_own_sizes_and_rates(name: str) -> None:
    study = read_study(name, as_released=True)
    assert (study.model, study.k, study.separator) == ("KoboldAI/fairseq-dense-1.3B", [32], "eos")
    assert [study.permutation_of("mr", seed) for seed in study.seeds_of("mr")] == [0, 1, 2]
    assert study.queries_of("cb") == 56 and resolved(study)[0].learning_rates["GD"]["cb"] == [0.08]


def test_the_rule_takes_the_best_held_out_likelihood_and_no_rate_that_diverged() -> None:
    rows = [(0, 0.1, -3.0), (1, 0.1, -1.0), (0, 0.2, -1.9), (1, 0.2, -1.9), (0, 0.3, -0.1), (1, 0.3, None), (0, 0.4, 0)]
    table = pd.DataFrame(rows, columns=["seed", "learning_rate", "label_log_likelihood"]).assign(task="sst2")
    assert best_rate(table) == 0.2  # 0.3 diverged on a set, 0.4 was not run on one


def test_the_rule_holds_where_tasks_were_swept_on_different_numbers_of_sets() -> None:
    of_mr = [("mr", 0, 0.1, -3.0), ("mr", 1, 0.1, -2.0), ("mr", 0, 0.2, -1.0), ("mr", 1, 0.2, -1.0)]
    rows = [*of_mr, ("subj", 0, 0.1, -1.0), ("subj", 0, 0.2, -2.0)]
    table = pd.DataFrame(rows, columns=["task", "seed", "learning_rate", "label_log_likelihood"])
    assert best_rate(table) == 0.2  # a mean of -4 / 3 over three sets, against -2


def test_the_shipped_rates_are_the_rule_applied_to_the_shipped_sweep() -> None:
    sweep = pd.read_csv(TABLE)
    study, _ = resolved(read_study("quickstart"))
    for method in study.methods:
        rows = sweep[(sweep.task == "sst2") & (sweep.method == method)]
        means = rows.groupby("learning_rate").label_log_likelihood.mean()
        assert study.learning_rates[method] == {"sst2": [means.idxmax()]}
        # a rate at the edge of the grid would say that the best one may lie outside
        assert means.idxmax() not in (means.index.min(), means.index.max())


def test_a_model_that_was_not_swept_needs_rates() -> None:
    with pytest.raises(UserError, match="--learning-rate GD="):
        resolved(make_study({"model": "some/other"}))
    with pytest.raises(UserError, match="with these options"):  # swept without clipping
        resolved(make_study({"methods": {"GD": {"clip": 1.0}}}))
    study, sources = resolved(make_study({"model": "some/other", "learning_rates": {"GD": [0.1], "LCGD": [0.2]}}))
    assert study.learning_rates == {"GD": [0.1], "LCGD": [0.2]} and sources["GD"] == "named in the study"
