"""The code that the README and the manual show works: Python is run, page by page, and commands are understood."""

import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.test_mistakes import call
from tests.guide import DOCUMENTS, GUIDE, ROOT, code_blocks, name_of
from tests.study.conftest import small_model as small_model  # the fixture
from tests.study.conftest import small_settings

from demograd.study import make_study, preset_groups, preset_names, run_study

README = ROOT / "README.md"
TAUGHT = [document for document in DOCUMENTS if code_blocks(document, "python") and document != GUIDE]
"""Pages whose Python runs as it stands. What the guide defines is run by the tests of metrics, methods and sections."""
MODEL = "smollm2-135m"
RUN_FOLDERS = ("runs/mine", "runs/other")
"""Runs that pages open, and do not make."""
QUICK = {"list", "schema", "--version"}
"""Commands that need no study: they are run."""


@pytest.fixture(scope="module")
def settings(small_model: Path) -> dict[str, Any]:
    small = small_settings(small_model, weights="trained", k=2, queries=4, seeds=[0, 1], methods=["GD"])
    return small | {"learning_rates": {"GD": [0.01]}}


@pytest.fixture(scope="module")
def finished_run(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    run_study(make_study(settings), folder)
    return folder


@pytest.fixture
def in_a_readers_folder(
    settings: dict[str, Any], finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-study.yaml").write_text(yaml.safe_dump(settings))
    for folder in RUN_FOLDERS:
        shutil.copytree(finished_run, folder)


@pytest.mark.usefixtures("in_a_readers_folder")
@pytest.mark.parametrize("document", [document for document in TAUGHT if document != README], ids=name_of)
def test_the_manuals_python_runs_on_a_small_model(document: Path, small_model: Path) -> None:
    run_page(document, str(small_model))


@pytest.mark.slow
@pytest.mark.usefixtures("in_a_readers_folder")
@pytest.mark.parametrize("document", [document for document in TAUGHT if MODEL in document.read_text()], ids=name_of)
def test_python_runs_on_the_real_model(document: Path) -> None:
    run_page(document, MODEL)


def run_page(document: Path, model: str) -> None:
    """Every block of Python, one after the other, with a model in the place of the default one."""
    names: dict[str, object] = {"__name__": "page"}
    for block in code_blocks(document, "python"):
        exec(compile(block.replace(f'"{MODEL}"', repr(model)), name_of(document), "exec"), names)


def commands(document: Path, program: str) -> Iterator[list[str]]:
    """The arguments of a program in a document's blocks of shell; `a|b` stands for two commands."""
    for block in code_blocks(document, "sh"):
        for line in block.splitlines():
            for command in line.partition("#")[0].split("&&"):
                words = shlex.split(command.partition(" > ")[0])
                if words[:1] == [program]:
                    yield from map(list, product(*(word.split("|") for word in words[1:])))


COMMANDS = [(document, arguments) for document in DOCUMENTS for arguments in commands(document, "demograd")]


@pytest.mark.parametrize(
    ("document", "arguments"),
    COMMANDS,
    ids=[f"{name_of(document)}: {' '.join(arguments)}" for document, arguments in COMMANDS],
)
def test_commands_have_the_options_that_they_are_shown_with(
    document: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*arguments, "--help") == 0
    if arguments[0] in QUICK and "--statistics" not in arguments:
        assert call(*arguments) == 0
    if arguments[0] in ("run", "plan") and len(arguments) > 1 and not arguments[1].startswith("-"):
        assert arguments[1].endswith(".yaml") or arguments[1] in {*preset_names(), *preset_groups()}


def test_make_has_the_targets_that_are_shown() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    shown = {arguments[0] for document in DOCUMENTS for arguments in commands(document, "make")}
    assert "docs" in shown and shown <= targets


def test_studies_that_are_shown_can_be_read() -> None:
    shown = [(document, block) for document in DOCUMENTS for block in code_blocks(document, "yaml")]
    whole = [(document, yaml.safe_load(block)) for document, block in shown]
    studies = [(document, settings) for document, settings in whole if "model" in settings and "tasks" in settings]
    assert len(studies) >= 2
    for document, settings in studies:
        assert make_study(settings).tasks == settings["tasks"], name_of(document)
