"""`CITATION.cff` and `sources.bib` cite the same works in the same words."""

import re
from pathlib import Path
from typing import Any

import yaml

from demograd.report.paper.bibliography import entries

CITATION = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))


def field(entry: str, name: str) -> str:
    """A field of a BibTeX entry without the braces that keep capitals."""
    (value,) = re.findall(rf"^  {name} *= \{{(.*)\}},$", entry, re.MULTILINE)
    return re.sub("[{}]", "", value)


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
