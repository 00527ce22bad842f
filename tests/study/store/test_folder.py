"""Facts about run folders: one study, one run at a time, and nothing is read that differs from what was written."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel, ConfigDict

from demograd.errors import UserError
from demograd.files import Damaged, NoRoom, Place, place, read_yaml
from demograd.observe import Observation
from demograd.study import SyntheticStudy, make_study
from demograd.study.language_model.keys import Inputs, keep_inputs, read_inputs
from demograd.study.spec.validation import validated
from demograd.study.store.folder import CellRecord, RunFolder
from demograd.study.store.keys import settings_key, study_key
from demograd.study.store.session import run_session, with_repair

KILLED = "0123456789abcdef" * 2
"""The suffix of a temporary file whose writer was killed."""
CELL, OTHER, ZSL = (settings_key(title, {"title": title}) for title in ("cell", "other", "ZSL"))


class Settings(BaseModel):
    """Settings of a study with one field."""

    model_config = ConfigDict(extra="forbid")
    name: str = "study"
    about: str = ""
    k: int = 3


def record(number: float = 1.0) -> CellRecord:
    return CellRecord({"FT/sim_aou": torch.full((4, 2), number)}, {"k_used": 3, "number": number})


def observation(number: float = 1.0) -> Observation:
    return Observation(
        attention_output=torch.full((2, 3, 4), number),
        attention_logits=[torch.full((3, 2, tokens), number) for tokens in (5, 6)],
        label_log_probs=torch.zeros(2, 2),
        gold=torch.tensor([0, 1]),
    )


def nobody_listens(sentence: str) -> None:
    pass


@pytest.fixture(params=["here", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A folder of this machine, or a folder behind a URL."""
    if request.param == "here":
        yield tmp_path / "run"
        return
    url = place(f"memory://{tmp_path.name}/run")
    yield url
    if url.exists():
        url.fs.rm(url.path, recursive=True)


def filled(path: Place) -> RunFolder:
    """A run folder with a file of each kind."""
    folder = RunFolder(path)
    with run_session(folder, Settings(), nobody_listens):
        keep_inputs(folder, Inputs({"model": "weights"}, {}, 1, "libraries"))
        folder.save_cell(CELL, record())
        folder.observation(ZSL, observation, nobody_listens)
    return folder


def flip(file: Place) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    file.write_bytes(bytes(content))


def test_what_was_kept_is_read(path: Place) -> None:
    folder = filled(path)
    assert folder.has_cell(CELL) and not folder.has_cell(OTHER)
    assert folder.load_cell(CELL).facts == {**record().facts, "computed_on": ""}
    assert torch.equal(folder.load_cell(CELL).tensors["FT/sim_aou"], torch.ones(4, 2))
    again = folder.observation(ZSL, lambda: pytest.fail("observed twice"), nobody_listens)
    assert [row.shape[-1] for row in again.attention_logits] == [5, 6]
    assert read_inputs(folder) == Inputs({"model": "weights"}, {}, 1, "libraries")


@pytest.mark.parametrize("name", ["inputs.json", "study.yaml"])
def test_what_is_damaged_is_set_aside_and_said(path: Place, name: str) -> None:
    folder, sentences = filled(path), list[str]()
    flip(path / name)
    damaged = (path / name).read_bytes()
    with run_session(folder, Settings(), sentences.append):
        assert (path / name).is_file() == (name != "inputs.json"), "the study is known, and so written anew"
    assert sentences == [
        f"1 of the files in {path} are damaged: they are set aside in damaged/, and made anew ({name})"
    ]
    assert (path / "damaged" / name).read_bytes() == damaged


@pytest.mark.parametrize("name", [f"cells/{CELL}.safetensors", f"observations/{ZSL}.safetensors"])
def test_damaged_cells_of_a_folder_here_are_found_when_a_run_begins(tmp_path: Path, name: str) -> None:
    folder, sentences = filled(tmp_path), list[str]()
    flip(tmp_path / name)
    with run_session(folder, Settings(), sentences.append):
        assert not (tmp_path / name).is_file()
    assert sentences[0].startswith(f"1 of the files in {tmp_path} are damaged")


def test_those_of_a_folder_behind_a_url_are_found_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """All damaged files are found at the first read; none is fetched before, since there may be many."""
    path, sentences, works = place("memory://far/run"), list[str](), list[bool]()
    folder = filled(path)
    for file in (path / "cells" / f"{CELL}.safetensors", path / "observations" / f"{ZSL}.safetensors"):
        flip(file)

    def work() -> float:
        works.append(folder.has_cell(CELL))
        if not folder.has_cell(CELL):
            folder.save_cell(CELL, record(3.0))
        return float(folder.load_cell(CELL).facts["number"])

    with run_session(folder, Settings(), sentences.append):
        assert sentences == [] and folder.has_cell(CELL) and folder.has_observation(ZSL)
        assert with_repair(folder, work, sentences.append) == 3.0
        assert works == [True, False] and sentences[0].startswith("2 of the files in memory://")
        assert not folder.has_observation(ZSL)


def test_damage_that_comes_again_ends_the_run(tmp_path: Path) -> None:
    folder, sentences = filled(tmp_path), list[str]()

    def work() -> None:
        folder.save_cell(CELL, record())
        flip(tmp_path / "cells" / f"{CELL}.safetensors")
        folder.load_cell(CELL)

    with pytest.raises(Damaged), run_session(folder, Settings(), sentences.append):
        with_repair(folder, work, sentences.append)
    assert len(sentences) == 1


def edited(file: Place) -> None:
    """Replace the file by valid YAML of another study, under the first study's checksum."""
    file.write_text(file.read_text(encoding="utf-8").replace("k: 3", "k: 4"), encoding="utf-8")


@pytest.mark.parametrize(
    "change", [flip, edited, lambda file: file.write_text("k: 4\n"), lambda file: file.write_bytes(b"")]
)
def test_whatever_befell_study_yaml_no_other_study_is_let_in(path: Place, change: Callable[[Place], None]) -> None:
    """The folder's own study is accepted, and its study.yaml is written anew."""
    folder, sentences = filled(path), list[str]()
    change(path / "study.yaml")
    before = (path / "study.yaml").read_bytes()
    refused = pytest.raises(UserError, match=r"study.yaml (is damaged|has no seal).*, and no file study-\w{8} beside")
    with refused, run_session(folder, Settings(k=4), nobody_listens):
        pytest.fail("opened")
    assert (path / "study.yaml").read_bytes() == before and folder.has_cell(CELL)
    with run_session(folder, Settings(), sentences.append):
        assert folder.has_cell(CELL)
    assert "study.yaml" in sentences[0] and "set aside" in sentences[0]
    assert (path / "damaged" / "study.yaml").read_bytes() == before
    with pytest.raises(UserError, match="another study"), run_session(folder, Settings(k=4), nobody_listens):
        pytest.fail("opened")


def test_a_run_killed_between_its_two_signatures_goes_on(path: Place) -> None:
    folder, mark = filled(path), path / f"study-{study_key(Settings())}"
    mark.unlink()
    with run_session(folder, Settings(), nobody_listens):
        assert mark.is_file()


def test_where_nothing_says_whose_a_folder_is_nobody_is_let_in(path: Place) -> None:
    folder = filled(path)
    flip(path / "study.yaml")
    (path / f"study-{study_key(Settings())}").unlink()
    with pytest.raises(UserError, match=r"Put study\.yaml back"), run_session(folder, Settings(), nobody_listens):
        pytest.fail("opened")
    assert folder.has_cell(CELL)


def test_what_a_user_puts_beside_is_left_alone(path: Place) -> None:
    folder, sentences = filled(path), list[str]()
    mine = ["notes.json", "plan.yaml", "table.parquet", "cells/mine.safetensors", "observations/a-1.safetensors"]
    for name in mine:
        (path / name).write_bytes(b"mine")
    with run_session(folder, Settings(), sentences.append):
        assert with_repair(folder, lambda: "done", sentences.append) == "done"
    assert sentences == [] and [(path / name).read_bytes() for name in mine] == [b"mine"] * len(mine)


def test_a_file_of_demograds_without_a_seal_is_said_to_have_none(path: Place) -> None:
    folder, sentences = filled(path), list[str]()
    (path / "claims.json").write_text("{}")
    flip(path / "inputs.json")
    with run_session(folder, Settings(), sentences.append):
        pass
    assert "damaged: they are set aside in damaged/, and made anew (inputs.json)" in sentences[0]
    assert (
        "1 of the files" in sentences[1]
        and "have no seal (it was cut short or changed, or demograd did not" in sentences[1]
    )


def test_damage_that_comes_later_is_an_error_and_no_number(path: Place) -> None:
    folder = filled(path)
    flip(path / "cells" / f"{CELL}.safetensors")
    flip(path / "observations" / f"{ZSL}.safetensors")
    for read in (lambda: folder.load_cell(CELL), lambda: folder.load_observation(ZSL, extras=())):
        with pytest.raises(Damaged, match="checksum does not fit"):
            read()


def test_an_observation_that_was_damaged_since_is_made_anew(path: Place) -> None:
    folder, sentences = filled(path), list[str]()
    flip(path / "observations" / f"{ZSL}.safetensors")
    assert folder.observation(ZSL, lambda: observation(2.0), sentences.append).attention_output.mean() == 2
    assert len(sentences) == 1 and (path / "damaged" / f"{ZSL}.safetensors").is_file()
    assert folder.load_observation(ZSL).attention_output.mean() == 2


def test_what_killed_writers_left_half_written_goes_with_the_next_run(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    for name in (f"cells/.{OTHER}.safetensors.{KILLED}", f".inputs.json.{KILLED}"):
        (tmp_path / "run" / name).write_bytes(b"half")
    filled(tmp_path / "run")
    assert not list((tmp_path / "run").rglob(".*"))
    assert RunFolder(tmp_path / "run").has_cell(CELL)


def test_a_run_that_was_killed_before_it_began_keeps_none_out(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    for name in ("lock", "holder.json", f".study.yaml.{KILLED}", f".holder.json.{KILLED}"):
        (tmp_path / name).touch()
    assert filled(tmp_path).has_cell(CELL)


class OfNextYear(Settings):
    """The same study in a later version that has one more setting."""

    orders: int | None = None


def test_a_study_that_gives_the_same_numbers_goes_on(path: Place) -> None:
    """The study has another name, or a version with more settings; afterwards the folder has the new ones."""
    folder = filled(path)
    for same in (Settings(name="other", about="The same."), OfNextYear()):
        with run_session(folder, same, pytest.fail):
            assert folder.has_cell(CELL)
        assert read_yaml(path / "study.yaml") == same.model_dump()
    with pytest.raises(UserError, match="another study"), run_session(folder, OfNextYear(orders=2), nobody_listens):
        pytest.fail("opened")
    with (
        pytest.raises(UserError, match=r"this version of demograd cannot read \(Unknown setting 'orders'\)"),
        run_session(folder, Settings(), nobody_listens),
    ):
        pytest.fail("opened")


def test_a_device_is_part_of_a_study_where_it_draws_the_data() -> None:
    worlds = {"worlds": {"w": {"kind": "linear", "dimension": 2}}, "networks": {"n": {}}, "references": []}
    makers = {
        make_study: {"name": "one", "model": "m", "tasks": ["sst2"], "k": 3, "queries": 2, "methods": ["GD"]},
        partial(validated, SyntheticStudy): {"name": "one", "kind": "synthetic", "context": 4, **worlds},
    }
    same = [
        study_key(make({**settings, "device": "cpu"})) == study_key(make({**settings, "device": "cuda"}))
        for make, settings in makers.items()
    ]
    assert same == [True, False]


def test_another_study_is_refused_and_the_folder_left_alone(path: Place) -> None:
    folder = filled(path)
    before = {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="another study"), run_session(folder, Settings(k=4), nobody_listens):
        pytest.fail("opened")
    assert {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_folder_of_something_else_is_refused(path: Place) -> None:
    path.mkdir(parents=True)
    (path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="no run folder"), run_session(RunFolder(path), Settings(), nobody_listens):
        pytest.fail("opened")
    assert [file.name for file in path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("finished", [False, True])
def test_a_mistake_leaves_no_folder_unless_something_is_finished(path: Place, finished: bool) -> None:
    folder = RunFolder(path)
    with pytest.raises(UserError), run_session(folder, Settings(), nobody_listens):
        if finished:
            folder.save_cell(CELL, record())
        raise UserError("this", "that", "Do so")
    assert path.exists() == finished


@pytest.mark.parametrize("linked", [False, True])
def test_a_mistake_leaves_a_folder_of_the_users_as_it_was(tmp_path: Path, linked: bool) -> None:
    (tmp_path / "disk" / "plans").mkdir(parents=True)
    path = tmp_path / "disk"
    if linked:
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match="this"), run_session(RunFolder(path), Settings(), nobody_listens):
        raise UserError("this", "that", "Do so")
    assert [file.name for file in path.iterdir()] == ["plans"]


def _hold(path: Path, holds: Callable[[], None]) -> None:
    with run_session(RunFolder(path), Settings(), nobody_listens):
        holds()
        time.sleep(60)


def test_a_second_run_in_a_folder_is_told_who_is_there_and_follows_when_it_died(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    holds = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "run", holds.set))
    process.start()
    assert holds.wait(30) and process.pid is not None
    folder = RunFolder(tmp_path / "run")
    try:
        with (
            pytest.raises(UserError, match=rf"in use by another run \(process {process.pid} on "),
            run_session(folder, Settings(), nobody_listens),
        ):
            pytest.fail("opened")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    with run_session(folder, Settings(), nobody_listens):
        folder.save_cell(CELL, record())
    assert folder.has_cell(CELL) and not (tmp_path / "run" / "holder.json").exists()


def _observe_slowly(path: Path, number: float) -> None:
    def slowly() -> Observation:
        with (path / "observed").open("a") as log:
            log.write(f"{number}\n")
        time.sleep(0.5)
        return observation(number)

    RunFolder(path).observation(ZSL, slowly, nobody_listens)


def test_of_several_processes_that_need_an_observation_one_observes(tmp_path: Path) -> None:
    with run_session(RunFolder(tmp_path), Settings(), nobody_listens):
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_observe_slowly, args=(tmp_path, float(number))) for number in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    (observed,) = (tmp_path / "observed").read_text().split()
    assert RunFolder(tmp_path).load_observation(ZSL).attention_output[0, 0, 0] == float(observed)
    assert not (tmp_path / "locks").exists()


def _save_for_ever(path: Path) -> None:
    number = 0.0
    while True:
        number += 1
        RunFolder(path).save_cell(CELL, record(number))


def test_two_processes_that_write_one_cell_and_are_killed_leave_a_whole_one(tmp_path: Path) -> None:
    """SIGKILL comes at random moments; the cell is always the whole work of one process."""
    folder, chance, numbers = RunFolder(tmp_path), random.Random(0), set()
    with run_session(folder, Settings(), nobody_listens):
        folder.save_cell(CELL, record(0.0))
        for _ in range(20):
            context = multiprocessing.get_context("fork")
            processes = [context.Process(target=_save_for_ever, args=(tmp_path,)) for _ in range(2)]
            for process in processes:
                process.start()
            time.sleep(chance.uniform(0.005, 0.05))
            for process in processes:
                process.kill()
                process.join()
            stored = folder.load_cell(CELL)
            assert set(stored.tensors["FT/sim_aou"].flatten().tolist()) == {stored.facts["number"]}
            numbers.add(stored.facts["number"])
    assert len(numbers) > 1, "they wrote"


def test_a_full_disk_is_a_message_and_what_is_finished_is_kept(small_disk: Path) -> None:
    folder = RunFolder(small_disk / "run")
    says = pytest.raises(NoRoom, match="Make room and run the same command again")
    with says, run_session(folder, Settings(), nobody_listens):
        for number in range(10000):
            folder.save_cell(f"cell-{number}", record(number))
    finished = sorted((small_disk / "run" / "cells").iterdir())
    assert 10 < len(finished) < 1000 and all(file.suffix == ".safetensors" for file in finished)
    assert all(folder.load_cell(file.stem).facts["number"] == int(file.stem.partition("-")[2]) for file in finished)


def test_a_list_and_a_mapping_come_back_as_they_were(path: Place) -> None:
    folder = filled(path)
    for content in ([], [{"a": 1}], {}, {"a": [1], "rows": 2}):
        folder.write_json("facts.json", content)
        assert folder.read_json("facts.json") == content
    assert "demograd-sha256" in json.loads((path / "facts.json").read_text(encoding="utf-8"))
