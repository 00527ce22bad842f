"""Running a synthetic study: stopped, damaged, in parallel, and where something cannot be had."""

import shutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.study.conftest import small_settings
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd import UserError, open_run
from demograd.report import write_report
from demograd.study import Silent, Workers, run_synthetic
from demograd.study.store.folder import RunFolder
from demograd.study.store.opened import opened
from demograd.study.synthetic.collect import collect
from demograd.study.synthetic.notes import notes
from demograd.study.synthetic.references import Wanted, tuned
from demograd.study.synthetic.run import on_one_device
from demograd.study.synthetic.trained import SyntheticCell, cell_key, cells, train_cell

SMALLER = {
    "worlds": {"anisotropic": {"dimension": 3, "spectrum": [2, 1, 0.5]}},
    "networks": {"linear": {}},
    "references": ["GD"],
    "scales": [],
    "contexts": [],
    "mixes": [],
    "orders": None,
    "sparsity": False,
}


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A run of one network on three seeds, and its table."""
    folder = tmp_path_factory.mktemp("smaller")
    path = run_synthetic(study(folder, REGRESSION, **SMALLER), folder / "run").folder.path
    return path, pd.read_parquet(path / "results.parquet")


def test_the_same_study_gives_the_same_table_also_when_it_was_stopped(
    tmp_path: Path, regression: Path, table: pd.DataFrame
) -> None:
    again = tmp_path / "run"
    shutil.copytree(regression, again)
    for file in list((again / "cells").glob("*seed1*")):
        file.unlink()

    class StopsSoon(Silent):
        def done(self, so_far: int) -> None:
            if so_far == 25:
                raise KeyboardInterrupt  # as Ctrl-C does

    small = study(tmp_path, REGRESSION)
    with pytest.raises(KeyboardInterrupt):
        run_synthetic(small, again, StopsSoon())
    assert list((again / "checkpoints").iterdir())
    run_synthetic(small, again)
    assert not list((again / "checkpoints").iterdir())
    pd.testing.assert_frame_equal(pd.read_parquet(again / "results.parquet"), table)


def test_a_network_that_diverges_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    networks = {"wild": {"attention": "exponential", "layers": 3, "initial_scale": 30.0}, "linear": {}}
    changes = {
        "networks": networks,
        "worlds": {"plain": {"dimension": 3}},
        "references": ["GD"],
        "mixes": [],
        "orders": None,
    }
    folder = run_synthetic(study(tmp_path, REGRESSION, **changes), tmp_path / "run").folder.path
    losses = overall(pd.read_parquet(folder / "results.parquet"), "loss").query("k == 5").set_index("model")
    assert losses.value["linear"] > 0
    assert pd.isna(losses.value["wild"]) and "diverged" in losses.status["wild"] and "3 of 3" in losses.status["wild"]
    assert write_report(folder).is_file()


class Listens(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, sentence: str) -> None:
        self.heard.append(sentence)


def test_a_damaged_checkpoint_is_set_aside_aloud_and_training_begins_anew(
    tmp_path: Path, smaller: tuple[Path, pd.DataFrame]
) -> None:
    again, small = tmp_path / "run", study(tmp_path, REGRESSION, **SMALLER)
    finished, table = smaller
    shutil.copytree(finished, again)
    cell = SyntheticCell("anisotropic", "linear", 1)
    key, listener = cell_key(small, cell), Listens()
    (again / "cells" / f"{key}.safetensors").unlink()
    (again / "checkpoints" / f"{key}.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    run_synthetic(small, again, listener)
    assert any("have no seal" in said and "set aside in damaged/" in said and key in said for said in listener.heard)
    assert not list((again / "checkpoints").iterdir())
    assert [file.name for file in (again / "damaged").iterdir()] == [f"{key}.safetensors"]
    pd.testing.assert_frame_equal(pd.read_parquet(again / "results.parquet"), table)


def test_a_language_model_that_cannot_be_had_ends_the_run_before_any_training(tmp_path: Path) -> None:
    beside = {"model": str(tmp_path / "no such model"), "tasks": ["sst2"], "k": 2, "queries": 4}
    with pytest.raises(UserError, match="no such model"):
        run_synthetic(study(tmp_path, REGRESSION, language_model=beside), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("device", "words"), [("cuda:99", "cuda:99"), ("gpu", "'gpu'"), ("balanced", "balanced")])
def test_a_device_that_is_not_there_is_named_before_the_folder_is_made(tmp_path: Path, device: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run_synthetic(study(tmp_path, REGRESSION, device=device), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("is_there", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_device_is_chosen_where_the_study_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    assert on_one_device(study(tmp_path, REGRESSION, device="auto")).device == device


def test_a_reference_that_is_not_tuned_to_the_end_is_left_out_aloud(tmp_path: Path) -> None:
    small = study(tmp_path, REGRESSION, worlds={"anisotropic": {"dimension": 3}}, references=["GD"], notes=["Ours."])
    folder = RunFolder(tmp_path / "run")
    one, two = (
        tuned(small.world("anisotropic"), Wanted("GD", steps), {}, "not tuned to the end: why") for steps in (1, 2)
    )
    with opened(folder, small, print):
        networks = {cell: train_cell(small, cell, folder, Silent()) for cell in cells(small)}
        table = collect(small, folder, {"anisotropic": [one, two]}, networks)
    left_out = overall(table, "loss").query("setting == 'reference'").set_index("method")
    assert left_out.status.to_dict() == dict.fromkeys(["GD, 1 step", "GD, 2 steps"], "not tuned to the end: why")
    assert left_out.value.isna().all() and "loss_ratio" not in set(table.metric)
    said = notes(small, {"anisotropic": [one]})
    assert said[0] == "Ours." and said[-1] == "GD, 1 step is left out in anisotropic: not tuned to the end: why."


def test_two_workers_give_the_table_of_one_byte_for_byte(tmp_path: Path) -> None:
    small, tables = study(tmp_path, SYSTEM), []
    for workers in (Workers(threads=1), Workers(number=2, threads=1)):
        folder = run_synthetic(small, tmp_path / str(workers.number), workers=workers).folder.path
        tables.append((folder / "results.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_a_training_that_fails_is_kept_as_failed_until_it_is_tried_again(
    tmp_path: Path, smaller: tuple[Path, pd.DataFrame]
) -> None:
    again, small = tmp_path / "run", study(tmp_path, REGRESSION, **SMALLER)
    finished, table = smaller
    shutil.copytree(finished, again)
    key = cell_key(small, SyntheticCell("anisotropic", "linear", 1))
    (again / "cells" / f"{key}.safetensors").unlink()
    (again / "checkpoints").rmdir()
    (again / "checkpoints").touch()  # no folder to write a checkpoint into
    [failed] = run_synthetic(small, again).failed
    assert failed.key == key and failed.what == "anisotropic · linear · seed 1" and "FileExistsError" in failed.error
    losses = overall(pd.read_parquet(again / "results.parquet"), "loss").query("task == 'anisotropic' and k == 5")
    assert losses.set_index("model").status["linear"] == f"{failed.status} (1 of 3 seeds)"
    assert write_report(again).is_file()

    (again / "checkpoints").unlink()
    assert run_synthetic(small, again).failed == (failed,)
    assert run_synthetic(small, again, retry_failed=True).failed == ()
    pd.testing.assert_frame_equal(pd.read_parquet(again / "results.parquet"), table)


def test_what_failed_of_a_language_model_beside_has_failed_of_the_run(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ArithmeticError("fell over")

    monkeypatch.setattr(import_module("demograd.study.engine.world_job"), "measure", broken)
    beside = small_settings(small_model, weights=["trained"], seeds=[0], queries=4, k=2, methods=["GD"])
    beside = {name: value for name, value in beside.items() if name not in ("name", "device")}
    small = study(
        tmp_path,
        REGRESSION,
        worlds={"one": {"dimension": 2}},
        networks={"linear": {}},
        seeds=[0],
        mixes=[],
        references=["GD"],
        language_model=beside,
    )
    assert [failure.error for failure in run_synthetic(small, tmp_path / "run").failed] == [
        "ArithmeticError: fell over"
    ]


def test_the_language_model_beside_is_read_as_it_ran_and_not_as_it_was_given(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = [[str(small_model), "sst2", "GD", 2, 0, 4, rate, -rate, "<s>"] for rate in (0.02, 0.03)]
    columns = ["model", "task", "method", "k", "seed", "queries", "learning_rate", "label_log_likelihood", "bos"]
    pd.DataFrame(swept, columns=columns).to_csv(tmp_path / "sweep.csv", index=False)
    monkeypatch.setattr("demograd.study.spec.learning_rates.TABLE", tmp_path / "sweep.csv")
    beside = {
        "model": str(small_model),
        "weights": ["trained"],
        "tasks": ["sst2", "cb"],
        "optional_tasks": ["cb"],
        "k": 2,
        "seeds": [0],
        "queries": 4,
        "methods": ["GD"],
        "controls": [],
    }
    small = study(
        tmp_path,
        REGRESSION,
        worlds={"one": {"dimension": 2}},
        networks={"linear": {}},
        seeds=[0],
        mixes=[],
        scales=[],
        contexts=[],
        orders=None,
        references=["GD"],
        language_model=beside,
    )
    for run in (run_synthetic(small, tmp_path / "run"), open_run(tmp_path / "run")):
        assert run.failed == () and run.beside is not None and run.beside.beside is None
        # the sweep chose the rate, and of cb there are no data
        assert [(cell.world.task, cell.learning_rate) for cell in run.beside.cells()] == [("sst2", 0.02)]
        zsl, _ = run.beside.observations(run.beside.cells()[0])
        assert len(zsl.gold) == 4
    (tmp_path / "run" / "language_model" / "study.yaml").unlink()
    with pytest.raises(UserError, match="language model beside"):
        _ = open_run(tmp_path / "run").beside
