"""Text of data in LaTeX: it is printed, and never run."""

import re
from pathlib import Path

import pytest
from tests.report.paper.documents import compiled, fonts_of, needs_latex, words_of

from demograd.report.paper import markdown
from demograd.report.paper.exhibits import PaperTable
from demograd.report.paper.latex_table import PACKAGES, table_file
from demograd.report.paper.latex_text import escaped
from demograd.report.section import Entry, Group, Head, Table, TableRow

HOSTILE = (
    r"\input{/etc/passwd}",
    r"\write18{touch owned} \end{tabular} }}{{",
    '100 % of a_b & $x^2$ #1 ~tilde~ `quote` "double" <tag> |bar|',
    "[0pt] [x] *starred",
    "-- --- --flag ?` !`",
    "α − Δ ≈ ✓ ✗ ± × ‖u_FT‖ ≤ √r ∂ŷ/∂x KᵀQ λ Ω μ µ ½ x² h₀ 1.2e−9 SimAM_Δ",
    "Łódź, naïve café, ÅÆØ œuvre, groß, Ő, “quoted” ‘single’ – — …",
    "中文 \u202eright to left\u202c \x00\x1b[31m \ufeff 😀 ﬁ",
    "two\n\nparagraphs\tand\ttabs",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_only_ascii_and_commands_of_our_own_come_out(text: str) -> None:
    latex = escaped(text)
    assert latex.isascii() and "\n" not in latex
    commands = set(re.findall(r"\\([A-Za-z]+)", latex))
    assert not commands & {"input", "write", "end", "begin", "newline", "par"}
    assert not re.search(r"(?<!\\)[%#&]", latex)
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")


def test_what_no_macro_writes_is_named() -> None:
    assert escaped("中\u202e") == "[U+4E2D][U+202E]"


def test_line_breaks_are_shown() -> None:
    assert escaped("Review: x\nLabel:") == r"Review: x$\hookleftarrow$Label:"
    assert markdown.escaped("Review: x\r\nLabel:\n") == "Review: x↵Label:↵"


def test_names_of_the_equations_have_subscripts_and_other_names_keep_their_underscores() -> None:
    assert escaped("u_ICL") == r"u$_{\mathrm{ICL}}$"
    assert escaped("SimAM_Δ_centred") == r"SimAM$_{\Delta}$\_centred"
    assert escaped("FT_other_sets no_training") == r"FT\_other\_sets no\_training"


def test_a_table_of_hostile_text_compiles_and_prints_it(tmp_path: Path) -> None:
    needs_latex()
    rows = tuple(
        TableRow(text, (Entry(text, "0.1", (text,)), Entry(text)), plain=text, under=(text,)) for text in HOSTILE
    )
    heads = (Head(HOSTILE[0]), Head(HOSTILE[2], HOSTILE[5]), Head(HOSTILE[1], words=True))
    short = Table((Head("[x]"), Head("*")), (Group("[g]", (TableRow("[0pt]", (Entry("*", under=("[1ex]",)),)),)),))
    tables = [
        PaperTable("hostile", HOSTILE[1], Table(heads, (Group(HOSTILE[2], rows), Group("", rows[:1]))), HOSTILE),
        PaperTable("short", "short", short, marks={(0, 0): "†,§"}, best=frozenset({(0, 1)})),
    ]
    document = tmp_path / "hostile.tex"
    body = "\n".join(map(table_file, tables))
    document.write_text(rf"\documentclass[twocolumn]{{article}}{PACKAGES}\begin{{document}}{body}\end{{document}}")
    log = compiled(document)
    assert "/etc/passwd" not in log and not (tmp_path / "owned").exists()
    words = words_of(document)
    assert r"\input{/etc/passwd}" in words and "root:" not in words
    for text in ("[0pt]", "≈", "[U+4E2D]", "[U+202E]", "--flag"):
        assert text in words
    fonts = fonts_of(document.with_suffix(".pdf"))
    assert fonts and all(is_embedded and kind != "Type 3" for kind, is_embedded in fonts)
