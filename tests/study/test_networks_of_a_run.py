"""Networks of a run: which weights they have, that each is loaded once, and how their faults are reported."""

import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.study.conftest import small_settings
from tests.study.test_run import Listening, results

from demograd import UserError
from demograd.study import cells, make_study, run_study
from demograd.study.language_model.grid import networks
from demograd.words import Weights


def test_an_initialisation_is_one_network_for_all_demonstration_sets(small_model: Path) -> None:
    study = make_study(small_settings(small_model, initialisations=[3, 4]))
    draws = [(cell.world.weights, cell.world.initialisation, cell.world.seed) for cell in cells(study)]
    untrained = {("no_training", initialisation, seed) for initialisation in (3, 4) for seed in range(3)}
    assert {*draws} == untrained | {("trained", 0, seed) for seed in range(3)}
    assert len(networks(study)) == 3
    assert make_study(small_settings(small_model)).initialisations == [0]


def test_other_weights_under_the_same_name_are_other_cells(small_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    copy = tmp_path / "model"
    network = AutoModelForCausalLM.from_pretrained(small_model)
    network.save_pretrained(copy)
    AutoTokenizer.from_pretrained(small_model).save_pretrained(copy)
    study = make_study(small_settings(copy, weights=["trained"], methods=["GD"], seeds=[0]))
    run_study(study, tmp_path / "out")
    before, again = results(tmp_path / "out"), Listening()
    with torch.no_grad():
        network.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    network.save_pretrained(copy)
    run_study(study, tmp_path / "out", again)
    assert any("is not what" in sentence and str(copy) in sentence for sentence in again.sentences)
    assert [setting for _, setting in again.started] == [
        "ZSL",
        "ICL",
        "FT, 2 fine-tunings",
        "FT",
        "FT_permuted_labels",
    ]
    assert not before.value.equals(results(tmp_path / "out").value)


def test_a_model_that_overflows_leaves_no_folder(small_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, loud = AutoModelForCausalLM.from_pretrained(small_model), tmp_path / "loud"
    with torch.no_grad():
        network.model.layers[0].self_attn.o_proj.weight.mul_(1e38).mul_(1e3)
    network.save_pretrained(loud)
    AutoTokenizer.from_pretrained(small_model).save_pretrained(loud)
    with pytest.raises(UserError):
        run_study(make_study(small_settings(loud, weights=["trained"])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_process_holds_one_network_and_loads_it_once(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demograd.study.language_model import networks as module

    study, names = make_study(small_settings(small_model)), []
    load = module.load_model

    def counted(name: str, **options: object) -> object:
        assert not module._held  # two are never in memory
        names.append((options["weights"], options["seed"]))
        return load(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "load_model", counted)
    module.let_go()
    expected = [(Weights.TRAINED, 0), (Weights.NO_TRAINING, 0), (Weights.NORMS_ONLY, 0), (Weights.NORMS_ONLY, 1)]
    for weights, seed in (network for network in expected for _ in range(3)):
        module.loaded(study, (str(small_model), weights, seed))  # type: ignore[arg-type]
    assert names == expected


def test_the_self_check_sees_a_window_that_is_ignored(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    from demograd.models import Model, find_anatomy
    from demograd.observe.packed import Pack
    from demograd.self_check import check_model

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        sliding_window=40,
        initializer_range=0.4,
    )
    network = MistralForCausalLM(config).eval().requires_grad_(False)
    model = Model("small mistral", network, None, find_anatomy(network))
    assert all(check.passed for check in check_model(model))
    sees = Pack._to_context
    monkeypatch.setattr(Pack, "_to_context", lambda pack, call: sees(pack, replace(call, window=None)))
    failed = [check.name for check in check_model(model) if not check.passed]
    assert len(failed) == 1 and failed[0].startswith("packed equals one by one beyond the window")
    # met for the first time, such a network is observed in the other way, and the check says in which
    other = deepcopy(network)
    checks = check_model(Model("small mistral", other, None, find_anatomy(other)))
    assert all(check.passed for check in checks)
    assert any(check.name.startswith("unpacked equals one by one beyond the window") for check in checks)


def test_a_network_held_from_before_its_files_changed_is_loaded_anew(small_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from demograd.models import load_model
    from demograd.study.language_model.keys import network_fingerprint
    from demograd.study.language_model.networks import let_go, loaded

    changing = tmp_path / "changing"
    shutil.copytree(small_model, changing)
    study, network = make_study(small_settings(changing)), (str(changing), Weights.TRAINED, 0)
    let_go()
    before = network_fingerprint(loaded(study, network))
    model = AutoModelForCausalLM.from_pretrained(changing)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.mul_(2)
    model.save_pretrained(changing)
    now = network_fingerprint(load_model(str(changing)))
    assert network_fingerprint(loaded(study, network)) == before != now
    assert network_fingerprint(loaded(study, network, now)) == now
    with pytest.raises(UserError, match="not the one that this run began with"):
        loaded(study, network, before)
