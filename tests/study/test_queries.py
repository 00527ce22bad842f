"""Query by query: what a run keeps of predictions and attention is what a plain loop of `observe` says."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.study.conftest import OVERFLOWS, small_settings

import demograd
from demograd import fine_tuned, load_model, load_task, metrics, observe
from demograd.learn import GradientDescent
from demograd.observe import Observation
from demograd.study import Run, make_study, run_study
from demograd.study.language_model.attention import decoded, encoded
from demograd.tasks.tokenizer import token_texts

SETTINGS: dict[str, Any] = {
    "weights": ["trained"],
    "methods": ["GD"],
    "learning_rates": {"GD": [0.01]},
    "seeds": [3, 1],
    "controls": [],
    "attention_queries": 2,
}


@pytest.fixture(scope="module")
def run(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_study(make_study(small_settings(small_model, **SETTINGS)), tmp_path_factory.mktemp("runs") / "run")


def test_a_byte_holds_a_probability_within_three_per_cent() -> None:
    probabilities = torch.logspace(-6, 0, 1000)
    assert (
        torch.from_numpy(decoded(encoded(probabilities).numpy())).sub(probabilities).div(probabilities).abs().max()
        < 0.03
    )
    ends = torch.tensor([0.0, -0.1, 1e-9, 1.0, torch.nan])
    assert decoded(encoded(ends).numpy()).tolist() == [0, 0, 0, 1, 0]


def test_the_tables_hold_what_a_plain_loop_observes(run: Run, small_model: Path) -> None:
    model, task = load_model(str(small_model)), load_task("sst2")
    queries = task.queries(8, 1)
    sets = dict(zip([3, 1], task.demonstration_sets(3, [3, 1]), strict=True))
    predicted, attention = run.queries(), run.attention()
    assert list(attention["seed"].unique()) == [3], "the first demonstration set of the study"
    zsl = observe(model, task.prompts(model.tokenizer, queries), extras=["attention_weights"])
    _same_predictions(predicted[predicted["setting"] == "ZSL"], zsl, task)
    for seed, demonstrations in sets.items():
        prompts = task.prompts(model.tokenizer, queries, demonstrations)
        icl = observe(model, prompts, extras=["attention_weights"])
        sequences = task.training_sequences(model.tokenizer, demonstrations)
        with fine_tuned(model, sequences, GradientDescent(learning_rate=0.01)) as tuned:
            ft = observe(tuned, task.prompts(model.tokenizer, queries), extras=["attention_weights"])
        of_set = predicted[predicted["seed"] == seed]
        _same_predictions(of_set[of_set["setting"] == "ICL"], icl, task)
        rows = of_set[of_set["setting"] == "FT"]
        _same_predictions(rows, ft, task)
        np.testing.assert_allclose(rows["sim_aou"], metrics.sim_aou(zsl, icl, ft).nanmean(dim=-1), atol=1e-4)
        if seed == 3:
            for setting, observed in (("ZSL", zsl), ("ICL", icl), ("FT", ft)):
                _same_attention(attention[attention["setting"] == setting], observed)
            row = attention[(attention["setting"] == "ICL") & (attention["query"] == 1)].iloc[0]
            tokens = [*prompts.context, *prompts.queries[1]]
            assert list(row["tokens"]) == token_texts(model.tokenizer, tokens)
            assert "".join(row["tokens"][1:]) == model.tokenizer.decode(tokens[1:])
            assert row["query_start"] == len(prompts.context)


def _same_predictions(rows: pd.DataFrame, observed: demograd.Observation, task: demograd.Task) -> None:
    assert list(rows["query"]) == list(range(8))
    np.testing.assert_allclose(np.stack(rows["label_log_probs"]), observed.label_log_probs, atol=1e-4)
    assert list(rows["prediction"]) == [task.label_words[place] for place in observed.predictions]
    assert list(rows["gold"]) == [task.label_words[place] for place in observed.gold]
    assert set(rows["status"]) == {"ok"}


def _same_attention(rows: pd.DataFrame, observed: demograd.Observation) -> None:
    assert list(rows["query"]) == [0, 1]
    weights = observed.attention_weights
    assert weights is not None
    for query, probabilities in enumerate(rows["attention"]):
        shown = weights[query, ..., : probabilities.shape[-1]]
        np.testing.assert_allclose(probabilities, shown, rtol=0.035, atol=1e-6)
        np.testing.assert_allclose(shown.sum(dim=-1), 1.0, atol=1e-5)


def test_a_run_that_goes_on_keeps_the_same(run: Run, small_model: Path, tmp_path: Path) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    removed = [*(tmp_path / "run").glob("observations/*-ICL-*"), *(tmp_path / "run").glob("cells/*-seed3-GD-*")]
    assert len(removed) == 3
    for file in removed:
        file.unlink()
    went_on = run_study(make_study(small_settings(small_model, **SETTINGS)), tmp_path / "run")
    pd.testing.assert_frame_equal(run.attention(), went_on.attention())
    pd.testing.assert_frame_equal(run.queries(), went_on.queries())


def test_attention_is_recorded_with_the_first_demonstration_set_alone(run: Run) -> None:
    files = run.folder.path.glob("observations/*.safetensors")
    weights = [(file.name.split("-")[2], Observation.load(file).attention_weights) for file in files]
    recorded = sorted(setting for setting, of_setting in weights if of_setting is not None)
    assert recorded == ["ICL", "ZSL"] and len(weights) == 3


def test_no_attention_is_kept_where_none_is_asked_for(run: Run, steep_model: Path, tmp_path: Path) -> None:
    study = make_study(
        small_settings(steep_model, **SETTINGS | {"attention_queries": 0, "learning_rates": {"GD": [OVERFLOWS]}})
    )
    without = run_study(study, tmp_path / "run")
    assert without.attention().empty and list(without.attention().columns) == list(run.attention().columns)
    observations = [Observation.load(file) for file in (tmp_path / "run").glob("observations/*.safetensors")]
    assert len(observations) == 3 and all(observation.attention_weights is None for observation in observations)
    tuned = without.queries().query("setting == 'FT'")
    assert len(tuned) == 16 and tuned["prediction"].isna().all() and tuned["text"].notna().all()
    assert tuned["status"].str.startswith("diverged").all()
