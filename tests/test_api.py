"""A run in a notebook: its table, observations and failures are read on demand."""

import inspect
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.study.conftest import small_model as small_model  # the fixture
from tests.study.conftest import small_settings

import demograd
from demograd.errors import UserError


def test_a_run_gives_its_table_and_its_observations(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = small_settings(small_model, weights=["trained"], methods=["GD"], seeds=[0], queries=5, k=9)
    Path("mine.yaml").write_text(yaml.safe_dump(settings))
    run = demograd.run("mine.yaml", "out", k=2, learning_rates={"GD": [0.01, 0.02]})
    assert "2 fine-tunings to run" in capsys.readouterr().out
    assert set(run.results().learning_rate.dropna()) == {0.01, 0.02} and set(run.results().k) == {2}
    assert repr(run) == "Run('out', study 'small', 2 cells)"
    assert run.failed == () and [cell.learning_rate for cell in run.cells()] == [0.01, 0.02]

    again = demograd.open_run("out")
    zsl, icl = again.observations(again.cells()[1])
    accuracy = again.results().query("setting == 'ICL' and metric == 'accuracy' and seed.isna()").value.item()
    assert (icl.predictions == icl.gold).float().mean().item() == pytest.approx(accuracy)
    assert zsl.gold.tolist() == icl.gold.tolist() and not torch.equal(zsl.attention_output, icl.attention_output)

    same = demograd.run(run.study, "out")
    assert "2 of 2 fine-tunings are already in out" in capsys.readouterr().out
    assert same.results().equals(run.results())


@pytest.mark.parametrize("study", [3, None, ["quickstart"], 0.5])
def test_what_is_no_study_is_refused(study: Any) -> None:
    with pytest.raises(UserError, match=r"demograd\.run\(.*Expected: a study, its settings as a dict, the name"):
        inspect.unwrap(demograd.run)(study)  # without the type checks that tests add


def test_settings_alone_are_a_study(tmp_path: Path) -> None:
    for settings, words in (({"k": 0}, "k = 0"), ({"kind": "synthetic"}, "worlds is missing")):
        with pytest.raises(UserError, match=words):
            demograd.run(settings, tmp_path / "out")


def test_paths_are_texts_and_what_failed_is_told_where_it_is_asked_for(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ArithmeticError("a bit fell over")

    settings = small_settings(small_model, weights="trained", methods=["GD"], seeds=0, queries=4, controls=[])
    monkeypatch.setattr(import_module("demograd.study.language_model.units"), "observe_untuned", broken)
    run = demograd.run(settings, tmp_path / "out", model=small_model, k=(2,))
    assert run.study.model == str(small_model)  # type: ignore[union-attr]
    (cell,) = run.cells()
    with pytest.raises(UserError, match=r"no observations of trained · sst2 · k 2 · seed 0 \(failed: Arith"):
        run.observations(cell)
    (tmp_path / "out" / "results.parquet").unlink()
    with pytest.raises(UserError, match=r"has no results\.parquet\. Expected: a run that has ended"):
        run.results()
    (failure,) = run.failed
    (tmp_path / "out" / "failures" / f"{failure.key}.json").unlink()
    with pytest.raises(UserError, match=r"no observations of .* \(not run yet\)"):
        run.observations(cell)
    with pytest.raises(UserError, match="a cell of this study"):
        run.observations(replace(cell, learning_rate=3.0))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no study\.yaml"):
        demograd.open_run(tmp_path)
