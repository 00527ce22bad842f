"""`demograd report --format`: the files that it writes, and a two-column document that takes all of them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.paper.documents import compiled, fonts_of, needs_latex, words_of
from tests.report.synthetic.rows import everything, write_synthetic_run

from demograd.cli import main
from demograd.errors import UserError
from demograd.report.paper import check_formats, write_formats

MakeRun = Callable[..., Path]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command `demograd report`, and its exit code."""

    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["demograd", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return call


HOSTILE = r"\input{x} 100 %_$#^~ α"


def test_tables_and_methods_of_a_run_become_a_document(
    run: MakeRun, report: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(layers=1, tasks=(HOSTILE,), diverged="LCGD", seeds=3, weights=("trained",))
    assert report(folder, "--format", "latex,csv,markdown") == 0
    paper = folder / "paper"
    assert capsys.readouterr().out.strip() == f"For a paper: {paper.resolve()}"
    assert not (folder / "report.html").exists() and not (paper / "figures").exists()
    for name in ("tables/results.tex", "tables/results.csv", "tables/results.md", "methods.md", "references.bib"):
        assert (paper / name).exists()
    needs_latex()
    compiled(paper / "paper.tex")
    words = words_of(paper / "paper.tex")
    for part in ("Methods", "Table 1: In-context learning against fine-tuning", "diverged at step 12"):
        assert part in words


@pytest.mark.slow
def test_all_formats_of_a_run_become_a_two_column_document(run: MakeRun, report: Callable[..., int]) -> None:
    folder = run(layers=1, tasks=(HOSTILE,), diverged="LCGD", seeds=3)
    assert report(folder, "--format", "html,latex,csv,markdown,figures") == 0
    paper = folder / "paper"
    assert (folder / "report.html").exists() and (paper / "tables" / "results.csv").exists()
    assert len(list((paper / "figures").glob("*.pdf"))) == len(list((paper / "figures").glob("*.svg"))) > 1
    needs_latex()
    compiled(paper / "paper.tex")
    subprocess.run(["bibtex", "paper"], cwd=paper, capture_output=True, check=True)
    compiled(paper / "paper.tex")
    log = compiled(paper / "paper.tex")
    assert "undefined" not in log and "Missing character" not in log
    words = words_of(paper / "paper.tex")
    for part in ("Methods", "Table 1: In-context learning against fine-tuning", "Figure 1:", "References"):
        assert part in words
    fonts = fonts_of(paper / "paper.pdf")
    assert fonts and all(is_embedded and kind != "Type 3" for kind, is_embedded in fonts)


@pytest.mark.slow
def test_a_synthetic_run_becomes_a_document_too(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path / "synthetic", rows=list(everything()))
    assert write_formats([folder], ["latex"]) == [folder / "paper"]
    needs_latex()
    compiled(folder / "paper" / "paper.tex")
    assert "Small transformers against algorithms" in words_of(folder / "paper" / "paper.tex")


def test_an_unknown_format_lists_those_that_there_are(
    run: MakeRun, report: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(run(layers=1), "--format", "latex,word") == 2
    assert "html, latex, csv, markdown, figures" in capsys.readouterr().err
    with pytest.raises(UserError, match="--format"):
        check_formats(" , ")


def test_several_runs_are_for_html_only(run: MakeRun, tmp_path: Path) -> None:
    folder = run(layers=1)
    shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(UserError, match="several are for html only"):
        write_formats([folder, tmp_path / "other"], ["html", "csv"])
    assert not (folder / "report.html").exists()
