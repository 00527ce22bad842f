"""`demograd report --format`: the page, and what a paper takes of a run, as files below its folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from demograd.errors import UserError, shortened
from demograd.files import Place, written_whole
from demograd.report.page import write_report
from demograd.report.paper import figures, latex_table, latex_text, markdown, methods, records, synthetic_methods
from demograd.report.paper.bibliography import bibliography
from demograd.report.paper.exhibits import Exhibits, PaperTable, exhibits, lettered
from demograd.report.paper.prose import Paragraph, as_latex, as_markdown, keys_of
from demograd.report.paper.results_table import results_table
from demograd.report.run import ReportedRun, read_run

FOLDER = "paper"
"""Below the run folder."""
Files = Iterator[tuple[str, bytes]]
"""Paths below `FOLDER` with their contents."""
_FLOATS = 8
"""Tables after which a document may break the page: LaTeX holds only so many that have no place yet."""


def check_formats(text: str) -> list[str]:
    """`html,latex` as a list.

    Raises:
        UserError: one of them is no format.
    """
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UserError(
            f"--format {shortened(text)}",
            f"{', '.join(FORMATS)}, or several of them by commas",
            "Try --format html,latex",
        )
    return names


def write_formats(folders: Sequence[Place], formats: Iterable[str]) -> list[Place]:
    """Write these formats of a run, and return the page's path, or the folder `paper` of the run, of each.

    Raises:
        UserError: several runs in a format other than html; or a folder is no run folder, or cannot be written.
    """
    chosen = list(formats)
    for_paper = [name for name in chosen if name != "html"]
    if for_paper and len(folders) > 1:
        raise UserError(
            f"{len(folders)} run folders in the format {', '.join(for_paper)}",
            "one run folder; several are for html only",
            "Run demograd report once for each folder",
        )
    written = [write_report(*folders)] if "html" in chosen else []
    if not for_paper:
        return written
    run = read_run(folders[0])
    shown = exhibits(run)
    table = results_table(run)
    tables = [*([table] if table else []), *shown.tables]
    for name in for_paper:
        for path, content in FORMATS[name](run, Exhibits(tuple(tables), shown.figures)):
            _write(run.path / FOLDER / path, content)
    return [*written, run.path / FOLDER]


def _write(path: Place, content: bytes) -> None:
    try:
        written_whole(path, lambda unfinished: unfinished.write_bytes(content))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})", "a folder of yours", "Check its permissions"
        ) from error


def _latex(run: ReportedRun, shown: Exhibits) -> Files:
    for table in shown.tables:
        yield f"tables/{table.name}.tex", latex_table.table_file(table).encode()
    yield "tables.tex", _inputs(shown.tables).encode()
    paragraphs = _paragraphs(run)
    yield "methods.tex", as_latex(paragraphs, "Methods").encode()
    yield "references.bib", bibliography(keys_of(paragraphs)).encode()
    yield "paper.tex", _DOCUMENT.encode()


def _inputs(tables: Sequence[PaperTable]) -> str:
    """All tables in their order, with room for LaTeX to place them."""
    lines = []
    for place, table in enumerate(tables):
        lines += [r"\clearpage"] if place and place % _FLOATS == 0 else []
        lines.append(rf"\input{{tables/{table.name}}}")
    return "\n".join(lines) + "\n"


def _figures_file(shown: Exhibits) -> str:
    """Each figure with its caption; the files are those of the format `figures`."""
    floats = []
    for place, figure in enumerate(shown.figures):
        file, is_wide = figures.file_of(figure)
        wide = "*" * is_wide
        parts = "".join(f" {part}." for part in lettered(figure.figure)) if is_wide else ""
        lines = [r"\clearpage"] if place and place % _FLOATS == 0 else []
        lines += [
            rf"\begin{{figure{wide}}}[tp]",
            r"\centering",
            rf"\includegraphics[width=\linewidth]{{figures/{file}.pdf}}",
            rf"\caption{{{latex_text.escaped(figure.caption + parts)}}}\label{{fig:{figure.name}}}",
            rf"\end{{figure{wide}}}",
        ]
        floats.append("\n".join(lines))
    return "\n\n".join(floats) + "\n"


def _markdown(run: ReportedRun, shown: Exhibits) -> Files:
    for table in shown.tables:
        yield f"tables/{table.name}.md", markdown.table_file(table).encode()
    paragraphs = _paragraphs(run)
    yield "methods.md", as_markdown(paragraphs, "Methods").encode()
    yield "references.bib", bibliography(keys_of(paragraphs)).encode()


def _csv(run: ReportedRun, shown: Exhibits) -> Files:
    for table in shown.tables:
        yield f"tables/{table.name}.csv", records.table_file(table).encode()


def _figures(run: ReportedRun, shown: Exhibits) -> Files:
    for figure in shown.figures:
        for drawing in figures.drawings(figure):
            for ending, content in drawing.files.items():
                yield f"figures/{drawing.name}.{ending}", content
    yield "figures.tex", _figures_file(shown).encode()


def _paragraphs(run: ReportedRun) -> list[Paragraph]:
    return synthetic_methods.methods(run) if run.is_synthetic else methods.methods(run)


FORMATS: Mapping[str, Callable[[ReportedRun, Exhibits], Files]] = {
    "html": lambda run, shown: iter(()),
    "latex": _latex,
    "csv": _csv,
    "markdown": _markdown,
    "figures": _figures,
}
"""Format → its files below the folder `paper`; the page, html, stands in the run folder itself."""

_DOCUMENT = rf"""% All there is: take from it what your paper needs. demograd report writes this file anew.
\documentclass[twocolumn,10pt]{{article}}
\usepackage[letterpaper,textwidth=6.75in,textheight=9.3in]{{geometry}}
{latex_table.PACKAGES}
\setlength{{\columnsep}}{{0.25in}}
\begin{{document}}
\input{{methods}}
\input{{tables}}
\IfFileExists{{figures.tex}}{{\clearpage\input{{figures}}}}{{}}
\clearpage
\bibliographystyle{{plain}}
\bibliography{{references}}
\end{{document}}
"""
