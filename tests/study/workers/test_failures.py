"""A failed cell is recorded with its traceback, shown in code, table and report, and repeated only on request."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings

from demograd.study import Run, make_study

JOB = "demograd.study.language_model.units"
CONTROLS = ("--set", "controls=permuted_labels,")


@pytest.fixture
def study_file(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A study file with four cells: two methods on two demonstration sets."""
    monkeypatch.chdir(tmp_path)
    settings = small_settings(small_model, weights=["trained"], seeds=[0, 1], queries=4, k=2, controls=[])
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    return "study.yaml"


def breaks(monkeypatch: pytest.MonkeyPatch, name: str, when: Any) -> None:
    """Make a function of the engine raise where `when` is true of its arguments."""
    module = import_module(JOB)
    sound = getattr(module, name)

    def broken(*arguments: Any) -> Any:
        if when(*arguments):
            raise ArithmeticError("a bit\nfell over")
        return sound(*arguments)

    monkeypatch.setattr(module, name, broken)


def status(out: Path) -> pd.Series:
    """The statuses of the accuracies, by setting, method and demonstration set (−1: over all sets)."""
    table = pd.read_parquet(out / "results.parquet").query("metric == 'accuracy'").fillna({"method": "", "seed": -1})
    return table.set_index(["setting", "method", "seed"]).status.sort_index()


def test_a_set_on_which_fine_tuning_fails_is_recorded_and_the_others_go_on(
    study_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path("out")
    module, trained_on = import_module(JOB), list[list[int]]()
    sound = module.measure

    def breaks_at_the_second_set(*arguments: Any) -> Iterator[Any]:
        *_, places, method, _, _ = arguments
        trained_on.append(places)
        for place, record in sound(*arguments):
            if type(method).__name__[0] == "L" and place == 1:
                raise ArithmeticError("a bit\nfell over")
            yield place, record

    with monkeypatch.context() as bad:
        bad.setattr(module, "measure", breaks_at_the_second_set)
        assert call("run", study_file, "--out", "out") == 1
    assert trained_on == [[0, 1], [0, 1]] and len(list(Path("out/cells").iterdir())) == 3
    errors = capsys.readouterr().err
    assert "1 of the study's parts failed" in errors and "--retry-failed" in errors and "ArithmeticError" in errors
    (record,) = (json.loads(file.read_text()) for file in Path("out/failures").iterdir())
    assert record["what"] == "trained · sst2 · k 2 · LCGD 0.01" and record["error"].startswith("ArithmeticError")
    assert "Traceback" in record["traceback"] and "in breaks_at_the_second_set" in record["traceback"]

    statuses = status(out)
    assert statuses["FT", "LCGD", 1] == "failed: ArithmeticError: a bit fell over"
    assert statuses["FT", "LCGD", -1] == "failed: ArithmeticError: a bit fell over (1 of 2 demonstration sets)"
    assert statuses["FT", "GD", -1] == statuses["ICL", "", -1] == "ok"
    assert "failed: ArithmeticError: a bit fell over" in Path("out/report.html").read_text()

    assert call("run", study_file, "--out", "out") == 1  # and not tried again
    errors = capsys.readouterr().err
    assert "2 of 2 worlds, 1 of 2 fine-tunings are already in out" in errors
    assert "Failed before, and not tried again (fine-tunings: 1); --retry-failed does" in errors
    monkeypatch.setattr(module, "measure", lambda *arguments: trained_on.append(arguments[3]) or sound(*arguments))
    assert call("run", study_file, "--out", "out", "--retry-failed") == 0
    assert trained_on[2:] == [[1]], "the set whose cell was kept is not trained on again"
    assert set(status(out)) == {"ok"}
    assert Run(folder_of(out), make_study(yaml.safe_load(Path("study.yaml").read_text()))).failed == ()


def folder_of(out: Path) -> Any:
    from demograd.study import RunFolder

    return RunFolder(out)


def test_a_world_that_cannot_be_observed_has_no_cells_and_says_why(
    study_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as bad:
        settings = []
        breaks(
            bad, "observe_untuned", lambda study, setting, *_: settings.append(setting) or settings.count("ICL") == 2
        )
        assert call("run", study_file, "--out", "out", *CONTROLS) == 1
    statuses = status(Path("out"))
    why = "failed: ArithmeticError: a bit fell over"
    assert statuses["ICL", "", 1] == statuses["FT", "GD", 1] == statuses["ZSL", "", 1] == why
    assert set(statuses[:, :, -1]) == {f"{why} (1 of 2 demonstration sets)"}
    assert not list(Path("out/cells").iterdir())  # FT on every set is scored against ICL on every set
    assert why in Path("out/report.html").read_text()
    assert call("run", study_file, "--out", "out", *CONTROLS) == 1
    errors = capsys.readouterr().err
    assert "1 of 2 worlds are already in out" in errors and "not tried again (worlds: 1, fine-tunings: 2)" in errors
    reasons = undecided(Path("out"))
    assert {*reasons["specificity"]} == {f"trained weights {why} (1 of 2 demonstration sets)"}
    # both metrics and methods; the last claim's two methods have one learning rate each
    for claim in ("specificity", "label-specificity", "above-controls"):
        assert reasons[claim] == reasons["specificity"] and len(reasons[claim]) == 2 * 2
    assert {*reasons["lcgd-above-gd"]} == {
        f"trained weights {why} (1 of 2 demonstration sets); at one learning rate each"
    }
    assert (
        reasons["attention-to-demonstrations"] == reasons["gd-and-lcgd-differ"] == reasons["icl-early"] == []
    )  # not asked for


def undecided(out: Path) -> dict[str, list[str]]:
    """The reasons why the comparisons of every claim are undecided, by claim."""
    reasons = {}
    for claim in json.loads((out / "claims.json").read_text())["claims"]:
        assert {comparison["verdict"] for comparison in claim["comparisons"]} <= {"undecided"}
        reasons[claim["name"]] = [comparison["reason"] for comparison in claim["comparisons"]]
    return reasons


def test_claims_of_weights_that_failed_stand_beside_those_of_others(
    study_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as bad:
        breaks(bad, "observe_untuned", lambda study, setting, model, *_: model.weights == "no_training")
        options = ["--weights", "trained", "--weights", "no_training", "--learning-rate", "GD=0.01"]
        options += ["--learning-rate", "GD=0.02", "--learning-rate", "LCGD=0.01"]
        for measure in ("similarity", "alpha", "reordering", "order_sensitivity", "output_overlap"):
            options += ["--measure", measure]
        assert call("run", study_file, "--out", "out", "--set", "orders=2", *options) == 1
    failed = "no_training weights failed: ArithmeticError: a bit fell over (2 of 2 demonstration sets)"
    reasons = undecided(Path("out"))
    assert [*map(len, (reasons["trained-above-untrained"], reasons["gd-and-lcgd-differ"]))] == [2 * 2, 1]
    # LCGD has one learning rate, on both sides
    assert {*reasons["trained-above-untrained"]} == {failed, f"{failed}; at one learning rate each"}
    assert failed not in {
        *reasons["specificity"],
        *reasons["gd-and-lcgd-differ"],
        *reasons["output-distributions-differ"],
    }
    both = reasons["normalisation-inflates"]  # of trained and of untrained weights
    assert len(both) == 2 * 2 and both.count(failed) == 2


def test_claims_of_a_task_that_failed_whole_are_the_same_as_of_one_that_did_not(
    study_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any measures, the failed task has every comparison that the other task has."""
    measures = [
        "similarity",
        "alpha",
        "layer_by_layer",
        "reordering",
        "order_sensitivity",
        "output_overlap",
        "attention_to_demonstrations",
        "implicit_update",
    ]
    with monkeypatch.context() as bad:
        breaks(bad, "observe_untuned", lambda study, setting, model, prompts, *_: prompts.candidates == other)
        other = prompts_of("subj").candidates
        options = [word for measure in measures for word in ("--measure", measure)]
        assert (
            call(
                "run",
                study_file,
                "--out",
                "out",
                "--task",
                "sst2",
                "--task",
                "subj",
                "--set",
                "orders=2",
                *CONTROLS,
                *options,
            )
            == 1
        )
    for claim in json.loads(Path("out/claims.json").read_text())["claims"]:
        by_task = {
            task: [comparison for comparison in claim["comparisons"] if comparison["task"] == task]
            for task in ("sst2", "subj")
        }
        assert len(by_task["sst2"]) == len(by_task["subj"]) > (-1 if claim["name"] in NOT_HERE else 0), claim["name"]
        assert all("weights failed: ArithmeticError" in comparison["reason"] for comparison in by_task["subj"])


NOT_HERE = ("trained-above-untrained", "icl-early")


def prompts_of(task: str) -> Any:
    from demograd.models import load_tokenizer
    from demograd.tasks import load_task

    loaded = load_task(task)
    return loaded.prompts(load_tokenizer("smollm2-135m")[0], loaded.queries(1))


@pytest.mark.parametrize("part", ["measure", pytest.param("observe_untuned", marks=pytest.mark.slow)])
def test_what_failed_and_has_come_from_another_study_since_has_not_failed(
    part: str, study_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part that failed is a cell, or an observation that all cells of a world need."""
    monkeypatch.setenv("DEMOGRAD_CACHE", str(Path("cache").absolute()))
    few = ["--seeds", "1", "--method", "GD"]
    with monkeypatch.context() as bad:
        breaks(bad, part, lambda *_: True)
        assert call("run", study_file, *few, "--out", "out") == 1
    assert call("run", study_file, *few, "--out", "other") == 0
    assert call("run", study_file, *few, "--out", "out") == 0
    assert list(Path("out/failures").iterdir()) == []
    assert Path("out/results.parquet").read_bytes() == Path("other/results.parquet").read_bytes()


def test_everything_may_fail(study_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch, "observe_untuned", lambda *_: True)
    assert call("run", study_file, "--out", "out", "--measure", "similarity", "--measure", "order_sensitivity") == 1
    assert all(text.startswith("failed: ") for text in status(Path("out")))
    assert "a bit fell over" in Path("out/report.html").read_text()
