"""A page of several runs: each under its own heading, in one file."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.synthetic.rows import write_synthetic_run
from tests.report.test_page import Parsed

from demograd.cli import main
from demograd.errors import UserError
from demograd.report import read_run, write_report

MakeRun = Callable[..., Path]


def test_a_language_model_stands_beside_small_networks_in_one_file(run: MakeRun, tmp_path: Path) -> None:
    folder, synthetic = run(layers=1), write_synthetic_run(tmp_path / "synthetic")
    page = write_report(folder, read_run(synthetic))
    assert page.name == "run+synthetic.html" and page.parent == folder.resolve().parent
    assert not (folder / "report.html").exists()
    text = page.read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert "smollm2-135m on mr; Small transformers in isotropic" in parsed.text
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    links = [value for name, value in parsed.attributes if name == "href"]
    assert links[:2] == ["#run-1", "#run-2"] and "#run-2-losses" in links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    order = ["run-1", "run-1-finding", "run-1-scores", "run-1-method", "run-2", "run-2-finding", "run-2-losses"]
    positions = [ids.index(name) for name in order]
    assert positions == sorted(positions)


@pytest.mark.slow
def test_a_page_of_several_runs_says_what_the_page_of_each_says(run: MakeRun, tmp_path: Path) -> None:
    folders = [run(layers=1), write_synthetic_run(tmp_path / "synthetic")]
    both = Parsed(write_report(*folders, to=tmp_path / "both.html").read_text(encoding="utf-8")).text
    for folder in folders:
        alone = Parsed(write_report(folder).read_text(encoding="utf-8")).text
        assert alone[alone.index("What is missing") : alone.index("How it was measured")].strip() in both


def test_the_command_line_writes_one_page_of_the_runs_that_it_is_given(
    run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [run(layers=1), write_synthetic_run(tmp_path / "synthetic")]
    monkeypatch.setattr("sys.argv", ["demograd", "report", *map(str, folders)])
    with pytest.raises(SystemExit, match="0"):
        main()
    page = Path(capsys.readouterr().out.removeprefix("Report: ").strip())
    assert page.name == "run+synthetic.html" and "a page of 2 runs" in Parsed(page.read_text(encoding="utf-8")).text


def test_a_page_needs_a_run() -> None:
    with pytest.raises(UserError, match="No run folder"):
        write_report()
