"""`CITATION.cff` and `sources.bib` cite the same works in the same words."""

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from demograd.report.paper.bibliography import entries
from demograd.report.paper.prose import SOURCES

CITATION = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
ACCENTS = {r"\"": "\N{COMBINING DIAERESIS}", r"\~": "\N{COMBINING TILDE}"}


def field(entry: str, name: str) -> str:
    """A field of a BibTeX entry with its accents as letters, without the braces that keep capitals."""
    (value,) = re.findall(rf"^  {name} *= \{{(.*)\}},$", entry, re.MULTILINE)
    for accent, combining in ACCENTS.items():
        value = re.sub(rf"{re.escape(accent)}(\w)", rf"\1{combining}", value)
    return unicodedata.normalize("NFC", re.sub("[{}]", "", value))


def family_names(work: dict[str, Any]) -> list[str]:
    return [author["family-names"] for author in work["authors"]]


def test_what_is_cited_has_one_title_one_year_and_the_same_authors() -> None:
    by_title = {field(entry, "title"): entry for entry in entries().values()}
    assert CITATION["references"] and CITATION["title"] in by_title
    for work in CITATION["references"]:
        assert work["title"] in by_title
        entry = by_title[work["title"]]
        authors = field(entry, "author").split(" and ")
        assert [author.partition(",")[0] for author in authors] == family_names(work), work["title"]
        assert field(entry, "year") == str(work["year"]), work["title"]


def test_the_papers_whose_metrics_and_constructions_are_here_are_cited() -> None:
    """All that the code names as sources, except those of the labels' part in it (Pan 2023, Min 2022)."""
    cited = {work["title"] for work in CITATION["references"]}
    papers = set(SOURCES.values()) - {"pan2023", "min2022"}
    assert cited == {field(entries()[key], "title") for key in papers}


def test_the_bibliography_is_read_by_any_latex() -> None:
    assert "".join(entries().values()).isascii()
