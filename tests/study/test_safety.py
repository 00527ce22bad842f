"""Facts about secrets and places: a run stores no secret, and writes nothing outside its folder."""

import os
from pathlib import Path

import pytest
from tests.study.conftest import small_settings
from tests.study.test_run import Listening
from tests.study.workers.jobs import Quotes

from demograd.report import write_report
from demograd.study import RunFolder, Workers, make_study, run_study
from demograd.study.store.failures import failures, without_secrets
from demograd.study.store.keys import settings_key
from demograd.study.workers import run_jobs

MARKER = "s3cr3t-0123456789-marker"
SECRETS = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "WANDB_API_KEY",
    "GITHUB_TOKEN",
    "DATABASE_URL",
    "HTTPS_PROXY",
)


def keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put secrets into the environment: in variables with telling names, and in URLs."""
    for name in SECRETS:
        is_url = name in ("DATABASE_URL", "HTTPS_PROXY")
        monkeypatch.setenv(name, f"https://me:{MARKER[:-3]}@here/db" if is_url else MARKER)


def free_of_secrets(folder: Path) -> dict[str, bytes]:
    """The contents of a run folder by file name, after a check that no file has a secret."""
    contents = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert [name for name, content in contents.items() if MARKER[:-3].encode() in content] == []
    return contents


def test_no_secret_of_the_environment_is_in_a_run_folder_and_nothing_is_outside_it(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeps(monkeypatch)
    working = tmp_path / "here"
    working.mkdir()
    monkeypatch.chdir(working)
    settings = small_settings(small_model, weights=["trained"], seeds=[0], queries=4, methods=["GD"])
    study = make_study({**settings, "about": "../../out <script>"})
    folder = run_study(study, working / "out").folder.path
    write_report(folder)
    assert "provenance.json" in free_of_secrets(folder)
    assert os.listdir(working) == ["out"] and set(os.listdir(tmp_path)) <= {"here"}  # noqa: PTH208 (hidden ones too)


def test_an_error_that_quotes_secrets_is_kept_and_told_without_them(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that signs requests might raise such an error; the traceback quotes the secret once more."""
    from demograd.study.language_model import units

    def quotes(*_: object) -> None:
        raise ArithmeticError(f"refused for {os.environ['HF_TOKEN']} by {os.environ['DATABASE_URL']}")

    keeps(monkeypatch)
    monkeypatch.setattr(units, "measure", quotes)
    watch, settings = Listening(), {"weights": ["trained"], "seeds": [0], "queries": 2, "k": 1, "methods": ["GD"]}
    run = run_study(make_study(small_settings(small_model, **settings)), tmp_path / "out", watch)
    write_report(run.folder.path)
    (failure,) = run.failed
    assert failure.error == "ArithmeticError: refused for *** by https://***@here/db"
    assert failure.error in failure.traceback and "in quotes" in failure.traceback
    contents = free_of_secrets(run.folder.path)
    assert b"refused for *** by" in contents["report.html"] and any(
        "refused for *** by" in sentence for sentence in watch.sentences
    )


def test_so_are_those_of_two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeps(monkeypatch)
    folder, watch = RunFolder(tmp_path), Listening()
    jobs = [Quotes(folder, settings_key(name, {}), SECRETS) for name in ("one", "two")]
    assert len([*run_jobs(jobs, Workers(number=2, threads=1), watch)]) == 2
    text = " ".join(["***"] * 6 + ["https://***@here/db"] * 2)
    assert {failure.error for failure in failures(folder, [job.key for job in jobs]).values()} == {
        f"ArithmeticError: {text}"
    }
    assert len(free_of_secrets(tmp_path)) == 2 and len(watch.sentences) == 2


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("HF_HOME", "/home/me/models")
    text = "false: /home/me/models, https://huggingface.co/me/one@main and s3://bucket/a:b@c"
    assert without_secrets(text) == text
