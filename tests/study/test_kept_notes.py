"""The provenance of finished work does not depend on the run that did it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import CONFIGS
from tests.study.conftest import small_settings
from tests.study.test_run import Listening
from transformers import AutoModelForCausalLM, AutoTokenizer, BartConfig, BartForCausalLM

from demograd.files import read_json
from demograd.study import Workers, make_study, run_study


@pytest.fixture
def unpacked_model(small_model: Path, tmp_path: Path) -> Path:
    """A network whose observations are not packed, which a note of each observation says."""
    tokenizer, folder = AutoTokenizer.from_pretrained(small_model), tmp_path / "bart"
    torch.manual_seed(7)  # not 0: untrained weights of seed 0 would be these very ones
    BartForCausalLM(
        BartConfig(
            **CONFIGS["bart"],
            vocab_size=len(tokenizer),
            max_position_embeddings=512,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_run_that_is_killed_before_its_provenance_is_written_tells_the_same(
    unpacked_model: Path, tmp_path: Path
) -> None:
    study = make_study(small_settings(unpacked_model, seeds=[0, 1], queries=4, k=1, methods=["GD"], controls=[]))
    out = tmp_path / "out"
    run_study(study, out, workers=Workers(threads=2))
    undisturbed = read_json(out / "provenance.json")
    assert set(undisturbed["models"]) == {"trained", "no_training, seed 0"}
    assert {name: "drawn_by" in facts for name, facts in undisturbed["models"].items()} == {
        "trained": False,
        "no_training, seed 0": True,
    }
    assert sum("packing does not fit" in note for note in undisturbed["notes"]) == 1
    assert undisturbed["machine"]["threads"] == 2  # of the workers, not what this process has besides

    (out / "provenance.json").unlink()
    run_study(study, out, workers=Workers(threads=2))
    resumed = read_json(out / "provenance.json")
    assert resumed["models"] == undisturbed["models"] and resumed["notes"] == undisturbed["notes"]


def test_ties_are_counted_over_all_that_was_observed(small_model: Path, tmp_path: Path) -> None:
    """Both label words have the same row in the unembedding, so every answer of ZSL, ICL and FT is tied."""
    network, tokenizer = AutoModelForCausalLM.from_pretrained(small_model), AutoTokenizer.from_pretrained(small_model)
    first, second = (tokenizer(word)["input_ids"][0] for word in (" Negative", " Positive"))
    with torch.no_grad():
        network.lm_head.weight[second] = network.lm_head.weight[first]
    network.save_pretrained(tmp_path / "equal")
    tokenizer.save_pretrained(tmp_path / "equal")
    run = run_study(
        make_study(
            small_settings(
                tmp_path / "equal", seeds=[0], weights=["trained"], queries=4, k=2, methods=["GD"], controls=[]
            )
        ),
        tmp_path / "out",
    )
    notes = read_json(tmp_path / "out" / "provenance.json")["notes"]
    assert [note for note in notes if note.startswith("12 of 12 answers to queries are tied")]
    rows = run.results().query("metric == 'accuracy' and selection == 'all'")
    assert set(rows.value) == {0.5}


def test_a_study_that_comes_whole_from_the_cache_tells_the_same(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache gives nothing from other threads; a folder's own results from other threads are used, with a note."""
    monkeypatch.setenv("DEMOGRAD_CACHE", str(tmp_path / "cache"))
    study = make_study(small_settings(small_model, seeds=[0], queries=4, k=1, methods=["GD"], controls=[]))

    def run(name: str, threads: int) -> tuple[Listening, Path, Any]:
        watch, out = Listening(), tmp_path / name
        run_study(study, out, watch, workers=Workers(threads=threads))
        return watch, out, read_json(out / "provenance.json")

    (_, first, ran), (watch, second, came) = run("one", 1), run("two", 1)
    assert watch.started == [] and (first / "results.parquet").read_bytes() == (second / "results.parquet").read_bytes()
    assert came["models"] == ran["models"] and set(ran["models"]) == {"trained", "no_training, seed 0"}
    assert came["models"]["trained"]["source"] == str(small_model)
    assert came["notes"] == ran["notes"] and not any("several settings" in note for note in ran["notes"])

    watch, _, _ = run("three", 2)
    assert [setting for _, setting in watch.started] == ["ZSL", "ICL", "FT, 1 fine-tuning", "FT"] * 2
    for cell in (second / "cells").iterdir():
        cell.unlink()
    (sentence,) = (note for note in run("two", 2)[2]["notes"] if "several settings" in note)
    assert ", 1 thread, torch" in sentence and ", 2 threads, torch" in sentence
