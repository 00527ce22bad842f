"""Facts about the cache: what one study has measured no other study measures again, and run folders do not need it."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.study.conftest import small_settings
from tests.study.store.test_folder import Settings, flip, nobody_listens, observation, record
from tests.study.test_run import Listening

from demograd.errors import UserError
from demograd.files import Place, place
from demograd.metrics import METRICS
from demograd.study import Cache, RunFolder, make_study, run_study, user_cache
from demograd.study.store.folder import Computing
from demograd.study.store.keys import settings_key
from demograd.study.store.session import run_session


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of an empty cache."""
    monkeypatch.setenv("DEMOGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def working(path: Place, threads: int = 1) -> RunFolder:
    """A run folder whose run computes on so many threads."""
    return RunFolder(path, Computing("cpu", threads))


def a_cell(folder: RunFolder, title: str = "first", number: float = 1.0) -> str:
    """Save a cell, and return its key."""
    key = settings_key(title, {"number": number})
    for kind in ("cells", "observations"):
        (Path(str(folder.path)) / kind).mkdir(parents=True, exist_ok=True)
    folder.save_cell(key, record(number))
    return key


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_another_study_that_contains_a_cell_has_it(cache: Path, tmp_path: Path) -> None:
    """The key is the hash of what the cell depends on, so the cell's name does not matter."""
    first = a_cell(working(tmp_path / "one"))
    second, again = working(tmp_path / "two"), settings_key("by another name", {"number": 1.0})
    with run_session(second, Settings(), nobody_listens):
        assert first != again and second.has_cell(again)
        assert torch.equal(second.load_cell(again).tensors["FT/sim_aou"], torch.ones(4, 2))
        assert not second.has_cell(settings_key("first", {"number": 2.0}))


def test_an_observation_is_shared_the_same_way(cache: Path, tmp_path: Path) -> None:
    key = settings_key("ZSL", {})
    for name in ("one", "two"):
        folder = working(tmp_path / name)
        with run_session(folder, Settings(), nobody_listens):
            new = observation if name == "one" else lambda: pytest.fail("observed twice")
            assert folder.observation(key, new, nobody_listens).attention_output.mean() == 1


def test_what_was_computed_on_other_threads_is_computed_anew_and_both_are_kept(cache: Path, tmp_path: Path) -> None:
    """An update is the difference of two observations: a difference in their rounding would be part of it."""
    key = a_cell(working(tmp_path / "one", threads=1))
    for name, threads, is_cached in (("two", 2, False), ("three", 1, True)):
        with run_session(folder := working(tmp_path / name, threads), Settings(), nobody_listens):
            assert folder.has_cell(key) == is_cached
            observed = folder.observation(key, lambda: observation(2.0), nobody_listens)
            assert observed.computed_on.endswith(f", {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}")
            if not is_cached:
                a_cell(folder)
                assert folder.load_cell(key).facts["computed_on"] == observed.computed_on
    assert len([file for file in files(cache) if file.is_relative_to(cache / "cells")]) == 2
    with run_session(reads := RunFolder(tmp_path / "four"), Settings(), nobody_listens):
        assert not reads.has_cell(key), "who does not compute takes nothing"


def test_a_file_in_a_run_folder_and_in_the_cache_is_on_the_disk_once(cache: Path, tmp_path: Path) -> None:
    key = a_cell(working(tmp_path / "one"))
    (cached,) = files(cache)
    assert cached.samefile(tmp_path / "one" / "cells" / f"{key}.safetensors")


def test_where_links_are_impossible_the_cache_has_a_copy(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", impossible)
    key = a_cell(working(tmp_path / "one"))
    (cached,) = files(cache)
    original = tmp_path / "one" / "cells" / f"{key}.safetensors"
    assert not cached.samefile(original) and cached.read_bytes() == original.read_bytes()


def test_a_damaged_cell_of_the_cache_is_dropped_and_not_taken(cache: Path, tmp_path: Path) -> None:
    key = a_cell(working(tmp_path / "one"))
    flip(files(cache)[0])
    second = working(tmp_path / "two")
    with run_session(second, Settings(), nobody_listens):
        assert not second.has_cell(key)
    assert files(cache) == []


def test_a_cache_that_cannot_be_written_costs_the_run_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache's disk is full; the run folder is on another disk."""
    monkeypatch.setenv("DEMOGRAD_CACHE", str(small_disk))
    with (small_disk / "full").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(bytes(4096))
    key = a_cell(working(tmp_path / "one"))
    assert RunFolder(tmp_path / "one").load_cell(key).facts["number"] == 1.0
    assert not list(small_disk.rglob("*.safetensors"))


def test_pruning_drops_what_is_old_and_leaves_run_folders_whole(
    cache: Path, tmp_path: Path, call_: Callable[..., str]
) -> None:
    folder = working(tmp_path / "one")
    old, new = a_cell(folder, "old", 1.0), a_cell(folder, "new", 2.0)
    day_before_yesterday = files(cache)[0].stat().st_mtime - 2 * 86400
    os.utime(folder.path / "cells" / f"{old}.safetensors", (day_before_yesterday, day_before_yesterday))
    assert [line.split()[-1] for line in call_("list").splitlines()[1:]] == ["new", "old"]
    assert "2 files" in call_("size") and "0.0 MB are in no run folder" in call_("size")
    assert "Dropped 1 file, 0.0 MB, of which 0.0 MB were in no run folder" in call_("prune", "--older-than", "1")
    assert [file.name.split(".")[1] for file in files(cache)] == [new]
    shutil.rmtree(tmp_path / "one" / "cells")
    assert "0.0 MB" in call_("size") and "1 file," in call_("size")
    assert "Dropped 1 file," in call_("prune", "--all")
    assert files(cache) == []


def test_what_another_version_kept_is_listed_and_pruned(cache: Path, tmp_path: Path, call_: Callable[..., str]) -> None:
    a_cell(working(tmp_path / "one"), "old", 1.0)
    (file,) = files(cache)
    of_another = file.parents[2] / "attention" / file.parent.name / file.name
    of_another.parent.mkdir(parents=True)
    file.rename(of_another)
    assert "attention" in call_("list") and "1 file," in call_("size")
    assert "Dropped 1 file," in call_("prune", "--all") and not of_another.exists()


def test_what_killed_writers_left_is_counted_and_dropped_after_an_hour(
    cache: Path, tmp_path: Path, call_: Callable[..., str]
) -> None:
    a_cell(working(tmp_path / "one"))
    (whole,) = files(cache)
    left, being_written = (whole.with_name(f".{whole.name}.{number * 32}") for number in "ab")
    for file in (left, being_written):
        file.write_bytes(bytes(2_000_000))
    os.utime(left, (time.time() - 3700,) * 2)
    assert "Besides 2 files, 4.0 MB that writers have begun" in call_("size") and len(call_("list").splitlines()) == 2
    assert "Dropped 1 file, 2.0 MB, of which 2.0 MB were in no run folder" in call_("prune", "--older-than", "1")
    assert sorted(files(cache)) == sorted([whole, being_written])


def test_what_is_dropped_while_it_is_listed_is_not_in_the_list(
    cache: Path, tmp_path: Path, call_: Callable[..., str]
) -> None:
    """Another process prunes the cache at the same moment."""
    for number in range(3):
        a_cell(working(tmp_path / "one"), number=float(number))
    store = Cache(cache)
    listed = store.entries()
    assert next(listed).title == "first"
    files(cache)[-1].unlink()
    for file in files(cache):
        file.unlink()
    assert list(listed) == [] and len(store.prune(0.0).dropped) == 0


def test_a_cache_that_can_be_nowhere_costs_the_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = working(tmp_path / "one")
    for nowhere in ("x" * 400, "/dev/null"):
        monkeypatch.setenv("DEMOGRAD_CACHE", nowhere)
        assert not folder.has_cell(settings_key("first", {"number": 2.0}))
        assert folder.has_cell(a_cell(folder))


def test_a_file_that_is_not_the_caches_is_neither_counted_nor_dropped(
    cache: Path, tmp_path: Path, call_: Callable[..., str]
) -> None:
    a_cell(working(tmp_path / "one"))
    mine = files(cache)[0].with_name("weights.safetensors")
    mine.write_bytes(b"mine")
    assert "1 file," in call_("size") and "Dropped 1 file," in call_("prune", "--all")
    assert files(cache) == [mine]


def test_what_the_system_does_not_let_go_is_said(
    cache: Path, tmp_path: Path, call_: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder stands in the place of a file; the other files are dropped."""
    first, _ = (a_cell(working(tmp_path / "one"), number=float(number)) for number in range(2))
    cached = next(file for file in files(cache) if first in file.name)
    cached.unlink()
    cached.mkdir()
    with pytest.raises(UserError, match=f"1 file, 0.0 MB that cannot be dropped, such as {cached}"):
        call_("prune", "--all")
    assert "Dropped 1 file," in capsys.readouterr().out and files(cache) == []


def test_a_cache_that_may_not_be_read_is_not_said_to_be_empty(cache: Path, call_: Callable[..., str]) -> None:
    cache.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # who may read anything
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
            call_("size")
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("command", [["list"], ["size"], ["prune", "--all"]])
def test_an_empty_cache_is_nothing_and_one_that_is_no_folder_is_said(
    cache: Path, call_: Callable[..., str], command: list[str]
) -> None:
    output = call_(*command)
    assert "nothing yet" in output or "0 files, 0.0 MB" in output
    assert not cache.exists()
    cache.write_text("a file")
    with pytest.raises(UserError, match=r"cannot be read \(Not a directory\)"):
        call_(*command)


def test_the_home_of_nobody_is_said(monkeypatch: pytest.MonkeyPatch, call_: Callable[..., str]) -> None:
    monkeypatch.setenv("DEMOGRAD_CACHE", "~nobody-has-this-name/cache")
    with pytest.raises(UserError, match="DEMOGRAD_CACHE=~nobody-has-this-name"):
        call_("size")


def test_a_run_behind_a_url_has_what_was_measured_here_and_keeps_a_whole_copy(cache: Path, tmp_path: Path) -> None:
    key = a_cell(working(tmp_path / "one"))
    far = working(place(f"memory://{tmp_path.name}/far"))
    with run_session(far, Settings(), nobody_listens):
        assert far.has_cell(key) and far.load_cell(key).facts["number"] == 1.0
    content = (far.path / "cells" / f"{key}.safetensors").read_bytes()
    assert content == (tmp_path / "one" / "cells" / f"{key}.safetensors").read_bytes()


@pytest.fixture
def call_(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs `demograd cache …` and returns what it prints."""
    from demograd.cli.main import app

    def run(*arguments: str) -> str:
        app(["cache", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_pruning_needs_to_be_told_what(cache: Path, call_: Callable[..., str]) -> None:
    for arguments in ([], ["--all", "--older-than", "3"]):
        with pytest.raises(UserError, match="--older-than DAYS, or --all"):
            call_("prune", *arguments)


def test_an_empty_name_switches_the_cache_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call_: Callable[..., str]
) -> None:
    monkeypatch.setenv("DEMOGRAD_CACHE", "")
    a_cell(working(tmp_path / "one"))
    assert user_cache() is None
    with pytest.raises(UserError, match="switches the cache off"):
        call_("size")
    monkeypatch.delenv("DEMOGRAD_CACHE")
    cache = user_cache()
    assert cache is not None and cache.path.parts[-2:] == ("demograd", "finished")


@pytest.mark.slow
def test_a_study_that_contains_another_runs_only_what_is_new(
    cache: Path, small_model: Path, tmp_path: Path, call_: Callable[..., str]
) -> None:
    few = {"weights": ["trained"], "controls": [], "seeds": [0], "queries": 6}
    run_study(
        make_study(small_settings(small_model, **few, methods=["GD"], learning_rates={"GD": [0.01]})), tmp_path / "one"
    )
    moved = shutil.copytree(small_model, tmp_path / "the same model")
    larger = small_settings(
        moved, **few, name="larger", methods={"mine": {"kind": "GD"}}, learning_rates={"mine": [0.01, 0.02]}
    )
    watch = Listening()
    run_study(make_study(larger), tmp_path / "two", watch)
    assert [setting for _, setting in watch.started] == ["FT, 1 fine-tuning", "FT"]
    assert "mine 0.02" in watch.started[0][0]
    first, second = (pd.read_parquet(tmp_path / name / "results.parquet") for name in ("one", "two"))
    of_both = [table[table.learning_rate == 0.01].value.dropna().tolist() for table in (first, second)]
    assert of_both[0] == of_both[1] and len(of_both[0]) > 50
    assert "Dropped" in call_("prune", "--all")
    again = Listening()
    run_study(make_study(larger), tmp_path / "two", again)
    assert again.started == []


def test_a_metric_that_came_later_is_computed_and_observations_are_taken_as_they_are(
    cache: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder's cells nor the cache's have the new metric; without a new metric, nothing is computed."""
    few = {"weights": ["trained"], "controls": [], "seeds": [0], "queries": 4, "k": 1, "methods": ["GD"]}
    study = make_study(small_settings(small_model, **few))

    def started_settings(out: str) -> list[str]:
        watch = Listening()
        run_study(study, tmp_path / out, watch)
        return [setting for _, setting in watch.started]

    assert started_settings("one") == ["ZSL", "ICL", "FT, 1 fine-tuning", "FT"]
    assert started_settings("one") == started_settings("two") == []
    mine = replace(METRICS["sim_am"], name="mine", title="mine", definition="as SimAM")
    monkeypatch.setitem(METRICS, "mine", mine)
    assert started_settings("one") == ["FT, 1 fine-tuning", "FT"]
    assert started_settings("one") == started_settings("three") == []
    rows = pd.read_parquet(tmp_path / "three" / "results.parquet").query("setting == 'FT' and layer.isna()")
    values = [rows[rows.metric == name].value.dropna().tolist() for name in ("mine", "sim_am")]
    assert values[0] == values[1] != []
    monkeypatch.setitem(METRICS, "mine", replace(mine, version=2))
    assert started_settings("two") == ["FT, 1 fine-tuning", "FT"]
