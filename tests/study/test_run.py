"""Facts about running a study: the same numbers, nothing done twice, nothing lost, no failed score in a mean."""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tests.study.conftest import GENTLE, OVERFLOWS, small_settings

from demograd import UserError, load_model, load_task, metrics, observe, statistics
from demograd.files import read_json
from demograd.study import Silent, Study, make_study, run_study
from demograd.study.language_model.grid import World
from demograd.study.language_model.prompts import prepare
from demograd.tasks import permute_labels
from demograd.words import Labels, Weights


class Listening(Silent):
    """A listener that records settings and sentences."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.sentences: list[str] = []

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        self.started.append((title, setting))

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


class StoppedAt(Listening):
    """A listener that interrupts the run at the setting with the given number."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def begin(self, title: str, setting: str, total: int, worker: str = "") -> None:
        super().begin(title, setting, total, worker)
        if len(self.started) == self.limit:
            raise KeyboardInterrupt


def results(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "results.parquet")


@pytest.fixture(scope="module")
def finished(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, Listening]:
    study, out, watch = make_study(small_settings(small_model)), tmp_path_factory.mktemp("run") / "out", Listening()
    run_study(study, out, watch)
    return study, out, watch


def test_zero_shot_and_in_context_are_observed_once_and_shared(finished: tuple[Study, Path, Listening]) -> None:
    _, _, watch = finished
    settings = [setting for _, setting in watch.started]
    # of each network one ZSL for all seeds; ICL: one for each seed
    assert (settings.count("ZSL"), settings.count("ICL")) == (1 + 1, 3 + 3)
    assert settings.count("FT") == settings.count("FT_permuted_labels") == 12
    # all sets are trained on together, and each is observed: what scores it against the others needs nothing more
    assert settings.count("FT, 6 fine-tunings") == 4 and len(settings) == 2 + 6 + 2 * 12 + 4


def test_the_same_command_runs_no_finished_cell_again(finished: tuple[Study, Path, Listening]) -> None:
    study, out, _ = finished
    before, again = (out / "results.parquet").read_bytes(), Listening()
    run_study(study, out, again)
    assert again.started == [] and any("4 of 4 fine-tunings" in sentence for sentence in again.sentences)
    assert (out / "results.parquet").read_bytes() == before


def test_a_stopped_run_goes_on_to_the_same_table(finished: tuple[Study, Path, Listening], tmp_path: Path) -> None:
    study, uninterrupted, watch = finished
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", StoppedAt(17))
    assert not (tmp_path / "out" / "results.parquet").exists()
    rest = Listening()
    run_study(study, tmp_path / "out", rest)
    assert len(rest.started) < len(watch.started)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (uninterrupted / "results.parquet").read_bytes()


def test_a_set_whose_cell_was_kept_is_trained_with_the_others_again_and_not_observed(
    finished: tuple[Study, Path, Listening], tmp_path: Path
) -> None:
    study, uninterrupted, watch = finished
    second_set = [setting for _, setting in watch.started].index("FT_permuted_labels") + 2
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", StoppedAt(second_set))
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 1
    rest = Listening()
    run_study(study, tmp_path / "out", rest)
    settings = [setting for _, setting in rest.started]
    assert settings.count("FT, 6 fine-tunings") == 4  # rounding depends on what is trained together
    assert settings.count("FT") == settings.count("FT_permuted_labels") == 11
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (uninterrupted / "results.parquet").read_bytes()


def test_a_score_in_the_table_is_the_score_of_the_library(finished: tuple[Study, Path, Listening]) -> None:
    """The public functions give the table's number again, from the model to the mean."""
    from demograd import GradientDescent, fine_tuned

    study, out, _ = finished
    model, task = load_model(study.model, device="cpu"), load_task("sst2")
    demonstrations, queries = task.demonstration_sets(3, study.seeds_of("sst2"))[1], task.queries(8, 1)
    zsl = observe(model, task.prompts(model.tokenizer, queries))
    icl = observe(model, task.prompts(model.tokenizer, queries, demonstrations))
    scores = {}
    for name, used in (("FT", demonstrations), ("flipped", permute_labels(demonstrations, 2, 1))):
        sequences = task.training_sequences(model.tokenizer, used)
        with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01)) as tuned:
            ft = observe(tuned, task.prompts(model.tokenizer, queries))
        scores[name] = metrics.sim_am_delta(zsl, icl, ft)
    table = results(out)
    row = table[(table.weights == "trained") & (table.method == "GD") & (table.seed == 1) & table.layer.isna()]
    plain = row[(row.metric == "sim_am_delta") & (row.setting == "FT") & row.versus.isna()].value.item()
    assert plain == pytest.approx(statistics.aggregate(scores["FT"]).value, abs=1e-5)
    difference = metrics.specificity(scores["FT"], scores["flipped"])
    specific = row[(row.metric == "sim_am_delta") & (row.versus == "permuted_labels")].value.item()
    assert specific == pytest.approx(statistics.aggregate(difference).value, abs=1e-5)


def test_the_table_has_its_columns_and_no_not_a_number(finished: tuple[Study, Path, Listening]) -> None:
    table = results(finished[1])
    contract = Path(__file__).parents[2] / "docs" / "run-folder.md"
    documented = [line.split("|")[1] for line in contract.read_text().splitlines() if line.startswith("| `")]
    assert all(f"`{column}`" in "".join(documented) for column in table.columns)
    assert not any(isinstance(value, float) and math.isnan(value) for value in table.value.dropna())
    # SST-2 has two label words
    assert set(table.status) == {"ok", "missing", "with 2 label words a cosine is a sign"}
    # layer 0 of a rotary model: the query's own logits cannot depend on the demonstrations
    layer_0 = table[(table.metric == "sim_am_delta") & (table.layer == 0) & (table.setting == "FT")]
    assert (layer_0.status == "missing").all() and (layer_0.n == 0).all() and (layer_0.n_missing > 0).all()


def test_the_mean_over_sets_and_its_spread_are_those_of_the_sets(finished: tuple[Study, Path, Listening]) -> None:
    table = results(finished[1])
    scores = table[(table.metric == "sim_aou") & (table.setting == "FT") & table.layer.isna() & (table.method == "GD")]
    scores = scores[scores.versus.isna()]
    trained = scores[scores.weights == "trained"]
    over, sets = trained[trained.seed.isna()], trained[trained.seed.notna()]
    assert over.value.item() == pytest.approx(sets.value.mean()) and over["std"].item() == pytest.approx(
        sets.value.std()
    )
    assert (over.interval.item(), set(sets.interval)) == ("demonstrations", {"conditional"})
    assert over.permutation.isna().all() and (sets.permutation == 0).all()


def test_zero_shot_does_not_vary_with_the_demonstrations(
    finished: tuple[Study, Path, Listening],
) -> None:
    """All demonstration sets share one observation: untrained weights too are one network for all of them."""
    table = results(finished[1])
    zsl = table[(table.setting == "ZSL") & (table.metric == "accuracy") & (table.task == finished[0].tasks[0])]
    assert zsl.weights.tolist() == ["trained", "no_training"] and zsl.seed.isna().all() and zsl["std"].isna().all()
    assert set(zsl.n) == {finished[0].queries} and set(zsl.n_seeds) == {1} and set(zsl.interval) == {"conditional"}
    assert zsl.initialisation.isna().tolist() == [True, False]


def test_the_folder_says_what_ran(finished: tuple[Study, Path, Listening]) -> None:
    study, out, _ = finished
    settings = yaml.safe_load((out / "study.yaml").read_text())
    assert make_study(settings) == study
    provenance = json.loads((out / "provenance.json").read_text())
    assert set(provenance["models"]) == {"trained", "no_training, seed 0"}
    assert provenance["tasks"]["sst2"]["fingerprint"]
    assert any("holds phrases of its sentences" in note for note in provenance["notes"])
    assert provenance["learning_rate_source"] == {"GD": "named in the study", "LCGD": "named in the study"}
    checks = read_json(out / "validity.json")
    assert {check["check"] for check in checks} == {
        "in_context_learning",
        "fine_tuning",
        "resolution",
        "update_size",
        "seeds",
    }


def test_a_method_that_diverges_is_recorded_as_that(steep_model: Path, tmp_path: Path) -> None:
    settings = small_settings(
        steep_model, weights=["trained"], methods=["GD"], learning_rates={"GD": [GENTLE, OVERFLOWS]}
    )
    watch = Listening()
    run_study(make_study(settings), tmp_path / "out", watch)
    table = results(tmp_path / "out")
    diverged = table[(table.learning_rate == OVERFLOWS) & (table.metric == "sim_aou")]
    assert diverged.value.isna().all() and diverged.status.str.contains("diverged at step [0-9]").all()
    assert "3 of 3 demonstration sets" in diverged[diverged.seed.isna()].status.iloc[0]
    assert any("diverged at step" in sentence for sentence in watch.sentences)
    gentle = table[(table.learning_rate == GENTLE) & (table.metric == "sim_aou") & (table.reading == "plain")]
    assert (gentle.status == "ok").all() and {"FT", "FT_other_sets"} <= set(gentle.setting)


def test_demonstrations_that_do_not_fit_are_dropped_said_and_recorded(small_model: Path, tmp_path: Path) -> None:
    settings = small_settings(small_model, weights=["trained"], methods=["GD"], k=40, seeds=[0])
    watch = Listening()
    run_study(make_study(settings), tmp_path / "out", watch)
    used = set(results(tmp_path / "out").k_used)
    assert len(used) == 1 and 1 < used.pop() < 40
    assert any("of 40 demonstrations fit the context window of 512" in sentence for sentence in watch.sentences)


def test_a_folder_of_another_study_is_refused_and_left_alone(
    finished: tuple[Study, Path, Listening], small_model: Path
) -> None:
    _, out, _ = finished
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
    with pytest.raises(UserError, match="another study"):
        run_study(make_study(small_settings(small_model, k=4)), out)
    assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before


def test_aligned_positions_are_one_position_for_all_demonstration_sets(small_model: Path, tmp_path: Path) -> None:
    settings = small_settings(small_model, weights=["trained"], methods=["GD"], seeds=[0, 1], align_positions=True)
    study, watch = make_study(settings), Listening()
    run_study(study, tmp_path / "out", watch)
    assert [setting for _, setting in watch.started].count("ZSL") == 1, "one common position, and so one ZSL"
    table = results(tmp_path / "out")
    unaligned = make_study(small_settings(small_model, weights=["trained"], methods=["GD"], seeds=[0, 1]))
    run_study(unaligned, tmp_path / "unaligned")
    likelihood = [
        rows[(rows.setting == "ZSL") & (rows.metric == "label_log_likelihood")].value.item()
        for rows in (table, results(tmp_path / "unaligned"))
    ]
    assert abs(likelihood[0] - likelihood[1]) > 1e-6


def test_a_claim_rests_on_the_sets_that_have_a_value() -> None:
    """One of five demonstration sets is all missing: four are too few to decide, and the table says four."""
    from demograd.statistics.number import number_of
    from demograd.study.rows import over_sets

    scores = [torch.rand(20, 3) + 1 for _ in range(5)]
    scores[2] = torch.full((20, 3), torch.nan)
    row = over_sets([statistics.aggregate(values) for values in scores], statistics.stack_seeds(scores), (-2.0, 2.0))
    assert row.n_seeds == 4
    assert statistics.decide(number_of(asdict(row)).interval).verdict == "undecided"


def test_an_empty_selection_is_missing_for_a_reason_of_its_own() -> None:
    from demograd.study.rows import over_sets

    unselected = torch.full((2, 20, 3), torch.nan)
    row = over_sets([statistics.aggregate(torch.ones(0, 3))] * 2, unselected, (-1.0, 1.0))
    assert (row.value, row.n, row.n_missing, row.status) == (None, 0, 0, "nothing selected")
    missing = over_sets([statistics.aggregate(values) for values in unselected], unselected, (-1.0, 1.0))
    assert missing.status is None  # asked for, and missing


def test_an_order_is_one_of_the_same_demonstrations_also_where_some_do_not_fit(small_model: Path) -> None:
    model, task = load_model(str(small_model), device="cpu"), load_task("sst2")
    first, second = (
        prepare(
            make_study(small_settings(small_model)),
            {"sst2": task},
            model,
            World("any", Weights.TRAINED, 0, "sst2", Labels.GOLD, 40, 0, permutation),
        )
        for permutation in (0, 1)
    )
    tokens = [[tuple(sequence.tokens) for sequence in prepared.training["FT"]] for prepared in (first, second)]
    assert first.k_used == second.k_used < 40
    assert tokens[0] != tokens[1] and sorted(tokens[0]) == sorted(tokens[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": {"GD": {"parameters": {"layers": 7}}}, "learning_rates": {"GD": [0.01]}},
        {"learning_rates": {"GD": [0.01, 0.01], "LCGD": [0.01]}},
        {"place": "after_norm"},
        {"queries": 100000},
    ],
)
def test_nothing_is_written_for_a_study_that_cannot_run(
    small_model: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(UserError):
        run_study(make_study(small_settings(small_model, **changes)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_is_made_anew(finished: tuple[Study, Path, Listening], tmp_path: Path) -> None:
    study, out, _ = finished
    copy, watch = shutil.copytree(out, tmp_path / "copy"), Listening()
    for damaged in ("cells", "observations"):
        file = next((copy / damaged).iterdir())
        file.write_bytes(file.read_bytes()[:-10])
    run_study(study, copy, watch)
    # an observation, and one cell: all sets are trained on, as before, and its own is observed
    settings = [setting for _, setting in watch.started]
    assert {"FT", "FT, 6 fine-tunings", "FT_permuted_labels"} <= {*settings} and len(settings) == 4
    assert (copy / "results.parquet").read_bytes() == (out / "results.parquet").read_bytes()


def test_damaged_records_are_set_aside_said_and_made_anew(
    finished: tuple[Study, Path, Listening], tmp_path: Path
) -> None:
    study, out, _ = finished
    copy, watch = shutil.copytree(out, tmp_path / "copy"), Listening()
    damaged = {}
    for name in ("study.yaml", "inputs.json", "provenance.json", "results.parquet"):
        content = bytearray((copy / name).read_bytes())
        content[-20] ^= 1
        (copy / name).write_bytes(content)
        damaged[name] = content
    run_study(study, copy, watch)
    assert not watch.started
    assert any("4 of the files" in sentence and "set aside in damaged/" in sentence for sentence in watch.sentences)
    for name, content in damaged.items():
        assert (copy / "damaged" / name).read_bytes() == content
        if name != "provenance.json":  # which has the time in it
            assert (copy / name).read_bytes() == (out / name).read_bytes()
