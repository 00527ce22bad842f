"""pdflatex: documents that tests compile, where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def needs_latex() -> None:
    """Skip the test aloud without pdflatex; where tests must not leave it out, fail."""
    if shutil.which("pdflatex") is None:
        # LaTeX cannot be installed with pip: where tests must not leave it out, that is said in the environment
        assert "DEMOGRAD_LATEX_REQUIRED" not in os.environ, "pdflatex is not installed"
        pytest.skip("pdflatex is not installed")


def compiled(document: Path) -> str:
    """The log of a document that compiles; its PDF stands beside it."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", document.name]
    subprocess.run(command, cwd=document.parent, capture_output=True, check=False)
    log = document.with_suffix(".log").read_text(encoding="latin-1")
    assert document.with_suffix(".pdf").exists(), log[-3000:]
    return log


def words_of(document: Path) -> str:
    """The text of a document's PDF, its white space as one blank."""
    text = subprocess.run(["pdftotext", document.with_suffix(".pdf"), "-"], capture_output=True, check=True, text=True)
    return " ".join(text.stdout.split())


def fonts_of(pdf: Path) -> list[tuple[str, bool]]:
    """Each font of a PDF: its type, and whether it is embedded."""
    lines = subprocess.run(["pdffonts", pdf], capture_output=True, check=True, text=True).stdout.splitlines()
    head = lines[0]
    kind, embedded = head.index("type"), head.index("emb")
    return [(line[kind:].split("  ")[0], line[embedded:].startswith("yes")) for line in lines[2:]]
