"""A preset that names several studies: a folder and a page of each, and one page of all."""

from pathlib import Path

import pytest
from tests.cli.test_mistakes import call
from tests.study.conftest import small_model as small_model  # the fixture

from demograd import UserError, open_run, read_study
from demograd.study import Study, SyntheticStudy, preset_groups, preset_names, read_studies

BRIDGE = "shen2023-bridge"
LANGUAGE_MODEL, TRANSFORMERS = f"{BRIDGE}-language-model", f"{BRIDGE}-transformers"
SMALL = ["training.steps=2", "tuning_sequences=64", "test_sequences=64", "orders=2", "seeds=0,1"]


@pytest.mark.slow
def test_each_study_runs_into_a_folder_of_its_own(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    overrides = [part for override in SMALL for part in ("--set", override)]
    options = ["--model", str(small_model), "--learning-rate", "0.01", "-k", "2", "--queries", "4"]
    assert call("run", BRIDGE, "--out", str(out), *options, *overrides) == 2
    assert "of several studies" in capsys.readouterr().err and not out.exists()
    options.remove("--learning-rate"), options.remove("0.01")
    rates = ["--set", "learning_rates={GD: 0.01, GD-batch: 0.01}"]
    assert call("run", BRIDGE, "--out", str(out), *options, *overrides, *rates) == 0
    assert {file.name for file in out.iterdir()} == {
        LANGUAGE_MODEL,
        TRANSFORMERS,
        f"{LANGUAGE_MODEL}+{TRANSFORMERS}.html",
    }
    printed = capsys.readouterr().out
    assert printed.count("Report: ") == 2 and printed.count("All on one page: ") == 1
    for preset in (LANGUAGE_MODEL, TRANSFORMERS):
        run = open_run(out / preset)
        assert (out / preset / "report.html").is_file() and run.failed == ()
        assert "order_sensitivity" in " ".join(run.results().metric.unique())


def test_a_setting_goes_to_the_studies_that_have_it() -> None:
    language_model, transformers = read_studies(BRIDGE, overrides=["training.steps=60", "seeds=3"], k=4)
    assert isinstance(language_model, Study) and isinstance(transformers, SyntheticStudy)
    assert (language_model.k, language_model.seeds) == ([4], [3])
    assert (transformers.training.steps, transformers.seeds) == (60, [3])


def test_a_setting_that_no_study_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"sedes.*Did you mean seeds"):
        read_studies(BRIDGE, overrides=["sedes=1"])
    with pytest.raises(UserError, match="modell"):
        read_studies(BRIDGE, modell="gpt2")


def test_where_one_study_is_wanted_its_studies_are_named() -> None:
    with pytest.raises(UserError, match=f"{BRIDGE}, .* one study. Take {LANGUAGE_MODEL} and {TRANSFORMERS} one by one"):
        read_study(BRIDGE)


def test_all_that_they_name_are_presets(capsys: pytest.CaptureFixture[str]) -> None:
    for name, group in preset_groups().items():
        assert name not in preset_names() and set(group["studies"]) <= set(preset_names())
    assert call("list", "presets") == 0
    assert BRIDGE in capsys.readouterr().out


def test_an_unknown_preset_is_answered_with_the_groups_too() -> None:
    with pytest.raises(UserError, match=r"one of .*\bshen2023-bridge, "):
        read_study("nosuch")
