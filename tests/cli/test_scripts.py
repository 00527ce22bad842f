"""What a script reads: one JSON object, a path, an exit status; and what a log and a narrow terminal show."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_mistakes import call
from tests.report.conftest import Fake, write_run
from tests.report.rows import claims

from demograd import study
from demograd.cli.printing import begin_output, print_table
from demograd.cli.tables import print_claims, print_scores
from demograd.files import read_json, write_json
from demograd.progress import LINES, Lines
from demograd.report import read_run
from demograd.study.store.folder import RunFolder

Captured = pytest.CaptureFixture[str]
SMALL: dict[str, Any] = {"layers": 1, "weights": ("trained",), "methods": ("GD",)}


@pytest.fixture(autouse=True)
def fresh_output() -> None:
    begin_output()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "run", Fake(**SMALL))
    write_json(folder / "claims.json", read_json(folder / "claims.json") | claims())
    return folder


def printed_json(capsys: Captured) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)  # nothing else is there, or this fails
    return facts


@pytest.mark.parametrize("command", ["claims", "report"])
def test_a_script_reads_verdicts_folder_and_status(command: str, folder: Path, capsys: Captured) -> None:
    assert call(command, str(folder), "--json") == 0
    facts = printed_json(capsys)
    assert facts["exit_status"] == 0 and facts["folder"] == str(folder.resolve())
    record = read_json(folder / "claims.json")
    verdicts = [comparison["verdict"] for claim in record["claims"] for comparison in claim["comparisons"]]
    assert [verdict["verdict"] for verdict in facts["verdicts"]] == verdicts
    assert facts["finding"] == read_run(folder).finding.sentence
    if command == "report":
        assert facts["report"] == str((folder / "report.html").resolve())


def test_a_script_reads_a_comparison(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    other = write_run(tmp_path / "other", Fake(**SMALL, diverged="GD"))
    assert call("compare", str(folder), str(other), "--json") == 0
    facts = printed_json(capsys)
    assert facts["runs"] == {"A": str(folder.resolve()), "B": str(other.resolve())}
    assert Path(facts["report"]).is_file()
    assert {row["difference"] for row in facts["differences"] if row["setting"] == "FT"} == {None}
    assert {verdict["B"] for verdict in facts["verdicts"]} == {"not tested"}


def test_a_quiet_command_prints_the_path_of_its_page_alone(folder: Path, capsys: Captured) -> None:
    assert call("report", str(folder), "--quiet") == 0
    assert capsys.readouterr() == (f"{(folder / 'report.html').resolve()}\n", "")
    assert call("compare", str(folder), str(folder), "-q") == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "named twice" in printed.err


def test_lists_are_read_by_name(capsys: Captured) -> None:
    assert call("list", "tasks", "--json") == 0
    (trec,) = (task for task in printed_json(capsys)["tasks"] if task["name"] == "trec")
    assert trec["label words"].startswith("Expression / Entity")
    assert call("list", "tasks", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_a_mistake_is_in_the_object_too(capsys: Captured) -> None:
    assert call("report", "nowhere", "--json") == 2
    facts = printed_json(capsys)
    assert facts["exit_status"] == 2 and "nowhere has no study.yaml" in facts["error"]


@pytest.mark.parametrize("failed", [[], ["a cell"]])
def test_the_exit_status_says_whether_a_part_failed(
    failed: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    failures = tuple(study.Failure("key", title, "ArithmeticError", "Traceback", "now") for title in failed)
    run = study.Run(RunFolder(folder), study.read_study("quickstart"))
    monkeypatch.setattr(study.Run, "failed", failures)
    monkeypatch.setattr(study, "run_study", lambda *_, **__: run)
    assert call("run", "--json") == len(failed)
    facts = printed_json(capsys)
    assert facts["failed"] == failed and facts["exit_status"] == len(failed)
    assert facts["report"] == str((folder / "report.html").resolve())


def test_every_exit_status_is_documented(capsys: Captured) -> None:
    assert call("--help") == 0
    overview = " ".join(capsys.readouterr().out.split())
    running = " ".join((Path(__file__).parents[2] / "docs/running.md").read_text(encoding="utf-8").split())
    for status in ("0", "1", "2", "130"):
        assert re.search(rf"Exit status:.*\b{status}, ", overview)
        assert f"| `{status}` |" in running


@pytest.mark.parametrize(
    "command", ["run", "plan", "claims", "report", "compare", "list", "check", "schema", "cache prune"]
)
def test_every_help_has_an_example_that_is_read(
    command: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert call(*command.split(), "--help") == 0
    shown = capsys.readouterr().out
    assert f"Example: demograd {command}" in shown
    assert command in ("schema", "cache prune") or "Output" in shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_word_is_broken_however_narrow_the_terminal(
    width: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for show in (lambda: print_scores(folder), lambda: print_claims(read_run(folder))):
        monkeypatch.setenv("COLUMNS", "1000")
        show()
        words = {word.rstrip(":") for word in capsys.readouterr().out.split()}
        monkeypatch.setenv("COLUMNS", str(width))
        show()
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= width
        # a path is longer than a line may be, and is broken there; downwards, a column's name has a colon
        broken = {word.rstrip(":") for word in shown.split() if "/" not in word} - words
        assert broken == set()


def test_rows_too_wide_for_the_terminal_are_printed_downwards(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("COLUMNS", "22")
    print_table(["name", "what it says"], [("a-long-name", "incomprehensibility")])
    assert capsys.readouterr().out.split() == ["a-long-name", "what", "it", "says:", "incomprehensibility"]
    monkeypatch.setenv("COLUMNS", "40")
    print_table(["name", "what it says"], [("a-long-name", "incomprehensibility")])
    assert capsys.readouterr().out.splitlines()[1].split() == ["a-long-name", "incomprehensibility"]


def test_no_color_is_honoured(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    for command in (["claims", str(folder)], ["list", "tasks"], ["run", "--help"]):
        assert call(*command) == 0
        assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-7]", capsys.readouterr().out)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_has_a_plain_line_now_and_then(capsys: Captured) -> None:
    clock = Clock()
    lines = Lines(clock=clock, to_errors=True)
    lines.start(100)
    lines.begin("a cell", "FT", 100)
    for done in range(1, 51):
        clock.now += LINES / 10
        lines.done(done)
    printed = capsys.readouterr()
    assert printed.out == "" and "\r" not in printed.err and "\x1b" not in printed.err
    assert len(printed.err.splitlines()) == 5
    first = "10 of 100 steps and queries, 0:00:30 so far, about 0:04:30 left: a cell · FT, 10 of 100"
    assert printed.err.splitlines()[0] == first


def test_a_log_of_what_cannot_be_counted_says_what_is_worked_on(capsys: Captured) -> None:
    clock = Clock()
    lines = Lines(clock=clock, to_errors=True)
    lines.start(0)
    clock.now += LINES
    lines.begin("a world", "ICL", 8, "worker 2")
    assert capsys.readouterr().err == "0:00:30 so far: worker 2 · a world · ICL, 0 of 8\n"


def test_a_log_says_no_time_left_before_a_tenth_is_done(capsys: Captured) -> None:
    """Steps come first, and one takes longer than a query: what follows from few of them is far too long."""
    clock = Clock()
    lines = Lines(clock=clock, to_errors=True)
    lines.start(100)
    lines.begin("a cell", "FT, 2 fine-tunings", 20)
    for done in (9, 10):
        clock.now += LINES
        lines.done(done)
    before, after = capsys.readouterr().err.splitlines()
    assert before == "9 of 100 steps and queries, 0:00:30 so far: a cell · FT, 2 fine-tunings, 9 of 20"
    assert "about 0:09:00 left" in after
