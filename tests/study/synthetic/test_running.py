"""Runs of a synthetic study: stopped, damaged, in parallel, and with missing parts."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.study.synthetic.small import REGRESSION, SYSTEM, overall, study

from demograd import UserError
from demograd.report import write_report
from demograd.study import Silent, Workers, run_study
from demograd.study.results import write_results
from demograd.study.store.folder import RunFolder
from demograd.study.store.session import run_session
from demograd.study.synthetic.experiment import notes, on_one_device, rows_of
from demograd.study.synthetic.references import ReferenceSpec, tuned
from demograd.study.synthetic.units import NetworkTraining, SyntheticCell, cell_key, load_trained, units_of

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
    path = run_study(study(folder, REGRESSION, **SMALLER), folder / "run").folder.path
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
        run_study(small, again, StopsSoon())
    assert list((again / "checkpoints").iterdir())
    run_study(small, again)
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
    folder = run_study(study(tmp_path, REGRESSION, **changes), tmp_path / "run").folder.path
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
    run_study(small, again, listener)
    assert any(
        "have no seal" in sentence and "set aside in damaged/" in sentence and key in sentence
        for sentence in listener.heard
    )
    assert not list((again / "checkpoints").iterdir())
    assert [file.name for file in (again / "damaged").iterdir()] == [f"{key}.safetensors"]
    pd.testing.assert_frame_equal(pd.read_parquet(again / "results.parquet"), table)


@pytest.mark.parametrize(("device", "words"), [("cuda:99", "cuda:99"), ("gpu", "'gpu'"), ("balanced", "balanced")])
def test_a_device_that_is_not_there_is_named_before_the_folder_is_made(tmp_path: Path, device: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run_study(study(tmp_path, REGRESSION, device=device), tmp_path / "run")
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
    first, second = (
        tuned(small.world("anisotropic"), ReferenceSpec("GD", steps), {}, "not tuned to the end: why")
        for steps in (1, 2)
    )
    with run_session(folder, small, print):
        trainings = [unit for unit in units_of(small) if isinstance(unit, NetworkTraining)]
        for training in trainings:
            training.compute(folder, Silent())
        networks = {training.cell: load_trained(training, folder) for training in trainings}
        table = write_results(folder, rows_of(small, {"anisotropic": [first, second]}, networks))
    left_out = overall(table, "loss").query("setting == 'reference'").set_index("method")
    assert left_out.status.to_dict() == dict.fromkeys(["GD, 1 step", "GD, 2 steps"], "not tuned to the end: why")
    assert left_out.value.isna().all() and "loss_ratio" not in set(table.metric)
    sentences = notes(small, {"anisotropic": [first]})
    assert (
        sentences[0] == "Ours." and sentences[-1] == "GD, 1 step is left out in anisotropic: not tuned to the end: why."
    )


def test_two_workers_give_the_table_of_one_byte_for_byte(tmp_path: Path) -> None:
    small, tables = study(tmp_path, SYSTEM), []
    for workers in (Workers(threads=1), Workers(number=2, threads=1)):
        folder = run_study(small, tmp_path / str(workers.number), workers=workers).folder.path
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
    [failed] = run_study(small, again).failed
    assert failed.key == key and failed.title == "anisotropic · linear · seed 1" and "FileExistsError" in failed.error
    losses = overall(pd.read_parquet(again / "results.parquet"), "loss").query("task == 'anisotropic' and k == 5")
    assert losses.set_index("model").status["linear"] == f"{failed.status} (1 of 3 seeds)"
    assert write_report(again).is_file()

    (again / "checkpoints").unlink()
    assert run_study(small, again).failed == (failed,)
    assert run_study(small, again, retry_failed=True).failed == ()
    pd.testing.assert_frame_equal(pd.read_parquet(again / "results.parquet"), table)
