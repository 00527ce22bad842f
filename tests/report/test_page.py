"""The page is whole, safe and honest as text; test_page_in_a_browser.py looks at it."""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from tests.report.conftest import verdicts
from tests.report.rows import row, write_everything, write_results

from demograd.files import read_json, write_json, write_table
from demograd.metrics import METRICS
from demograd.report import read_run, write_report
from demograd.report.charts.drawing import static_svg

MakeRun = Callable[..., Path]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
ACTIVE = {"script", "img", "iframe", "object", "embed", "foreignobject", "link", "base", "form"}
"""Elements that could do something; a link to a place on the page cannot."""


class Parsed(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self.in_style else data


def _page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_the_page_is_beside_the_results_and_nothing_else_is_left(run: MakeRun) -> None:
    folder = run(layers=2)
    before = {path.name for path in folder.iterdir()}
    assert write_report(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}


def test_missing_values_never_read_as_nan(run: MakeRun) -> None:
    page = _page(run(diverged="LCGD"))
    text = Parsed(page).text
    assert not re.search(r"\b(nan|NaN|None|null|inf)\b", text)
    assert "NaN" not in page
    assert "diverged at step 12" in text
    assert "450 of 13,500 missing" in text
    assert "SimAM_Δ is missing at layer 0" in text


def test_untrusted_names_are_text_and_nothing_else(run: MakeRun) -> None:
    folder = run(tasks=(EVIL,), model=EVIL, weights=("trained", EVIL), methods=("GD", EVIL), layers=3)
    provenance = read_json(folder / "provenance.json")
    write_json(folder / "provenance.json", provenance | {"notes": [EVIL], EVIL: {EVIL: [EVIL]}})
    parsed = Parsed(_page(folder))
    assert not ACTIVE & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.text.count(EVIL) > 10


def test_nothing_is_fetched_from_anywhere(run: MakeRun) -> None:
    page = _page(run())
    for name, value in Parsed(page).attributes:
        assert name not in ("src", "xlink:href", "action", "data", "style"), (name, value)
        assert name != "href" or value.startswith("#"), value
        assert "http" not in value or name == "xmlns"
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import|@font-face", page)


def test_ids_are_unique_and_references_lead_somewhere(run: MakeRun) -> None:
    page = _page(run(tasks=("mr", "sst2"), layers=4))
    attributes = Parsed(page).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    contents = [value.removeprefix("#") for name, value in attributes if name == "href"]
    assert contents == re.findall(r'<section id="([^"]+)"', page), "the contents bar names all sections in their order"


def test_finding_then_layers_then_performance_then_scores_then_validity_then_method(run: MakeRun) -> None:
    folder = run(layers=3)
    page = _page(folder)
    order = [f'id="{name}"' for name in ("finding", "layers", "performance", "scores", "validity", "method")]
    positions = [page.index(address) for address in order]
    assert positions == sorted(positions)
    read = read_run(folder)
    assert read.finding.sentence in Parsed(page).text
    scores = Parsed(page[positions[3] : positions[4]]).text
    assert scores.index("vs other sets") < scores.index("SimAOU_norm")


def test_checks_are_marked_in_words(run: MakeRun) -> None:
    text = Parsed(_page(run(seeds=3, layers=2))).text
    assert "✗ failed" in text
    assert "✓ passed" in text


def test_dropped_demonstrations_are_said_aloud(run: MakeRun) -> None:
    text = Parsed(_page(run(k_used=14, seeds=3, layers=2))).text
    assert "On mr, 14 of 16 demonstrations fitted the context window (seeds 0, 1, 2)" in text


def test_conditional_intervals_are_labelled(run: MakeRun) -> None:
    conditional = Parsed(_page(run(conditional=True, layers=2)))
    assert "Bands: 95 % intervals, conditional on these demonstrations" in conditional.text
    assert _page(run(layers=2)).count(">conditional<") == 0
    assert _page(run(conditional=True, layers=2)).count(">conditional<") > 10


def test_findings_are_said_to_be_corrected_for_one_another(run: MakeRun) -> None:
    words = "findings are corrected for one another (Holm), with the other comparisons of their claims"
    assert f"These 2 {words}" in Parsed(_page(run(layers=2))).text
    assert words not in Parsed(_page(run(layers=2, methods=("GD",)))).text


def test_a_folder_without_verdicts_says_so_and_decides_nothing(run: MakeRun) -> None:
    folder = run(layers=2, specificity=0.2)
    (folder / "claims.json").unlink()
    assert read_run(folder).finding.verdict == "undecided"
    assert "Undecided: this folder holds no verdicts (claims.json); the same" in Parsed(_page(folder)).text


def test_every_metric_of_the_run_is_defined_with_its_source(run: MakeRun) -> None:
    folder = run(layers=2)
    text = Parsed(_page(folder)).text
    for name in {str(metric) for metric in read_run(folder).results["metric"]} & set(METRICS):
        assert METRICS[name].definition in text
        assert METRICS[name].source in text


def test_only_settings_and_results_are_needed(run: MakeRun) -> None:
    folder = run(layers=2)
    for name in ("validity.json", "provenance.json"):
        (folder / name).unlink()
    text = Parsed(_page(folder)).text
    assert "recorded no validity checks" in text
    assert "where it comes from" in text


def test_results_without_layers_or_methods_still_make_a_page(run: MakeRun) -> None:
    folder = run(layers=2)
    results = pd.read_parquet(folder / "results.parquet")
    write_table(folder / "results.parquet", results[results.method.isna()])
    write_json(folder / "claims.json", verdicts([]))
    text = Parsed(_page(folder)).text
    assert "Undecided: no fine-tuning was measured, so there is nothing to compare with ICL." in text
    assert "What the model predicts" in text


def test_a_run_on_networks_alone_has_a_page_without_tasks(run: MakeRun) -> None:
    nothing = {"task": None, "k": None, "record_at": None}
    folder = write_results(run(layers=1), [row("sparsity_ratio", None, 0.2, **nothing, at=0.01)])
    write_json(folder / "validity.json", [])
    write_json(folder / "claims.json", verdicts([]))
    page = _page(folder)
    assert "no fine-tuning was measured" in Parsed(page).text
    assert "<title>smollm2-135m · demograd</title>" in page
    assert 'id="sparsity"' in page and 'id="validity"' not in page and 'id="scores"' not in page


def test_long_runs_are_folded_but_for_what_leads(run: MakeRun) -> None:
    page = _page(run(tasks=tuple(f"task {n}" for n in range(4)), layers=2))
    summaries = re.findall(r"<summary>(.*?)</summary>", page)
    assert {"All 8 findings in full", "Attention outputs", "The same with fine-tuning"} <= set(summaries)
    assert "Specificity" not in summaries
    text = Parsed(page).text
    assert "is supported for all 8" in text


def test_sections_come_in_the_order_in_which_they_are_to_be_read(run: MakeRun) -> None:
    page = _page(write_everything(run(tasks=("mr", "sst2"), layers=4)))
    order = re.findall(r'<section id="([^"]+)"', page)
    assert order == [
        "finding",
        "matching",
        "claims",
        "notes",
        "layers",
        "rates",
        "against-k",
        "alpha",
        "layer-pairs",
        "gradient-norms",
        "order-sensitivity",
        "overlap",
        "attention",
        "implicit-update",
        "sparsity",
        "performance",
        "corrected",
        "scores",
        "published",
        "validity",
        "missing",
        "method",
    ]
    parsed = Parsed(page)
    assert not re.search(r"\b(nan|NaN|None|null|inf)\b", parsed.text)
    assert "script" not in parsed.tags
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_a_chart_that_is_more_than_a_drawing_is_refused() -> None:
    link = {"mark": "point", "data": {"values": [{"u": "x"}]}, "encoding": {"href": {"field": "u"}}}
    with pytest.raises(ValueError, match="static chart"):
        static_svg(link, "title", "description")


def test_a_chart_is_titled_with_any_text() -> None:
    chart = {"mark": "point", "data": {"values": [{"x": 1}]}, "encoding": {"x": {"field": "x", "title": EVIL}}}
    svg = static_svg(chart, EVIL, "description")
    assert "<script" not in svg
    assert html.escape(EVIL, quote=False) in svg
    assert 'role="img"' in svg
