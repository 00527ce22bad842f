"""The manual: what is generated says what the code says, and the site is built without a broken link."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from tests.guide import ROOT

import demograd
from demograd.metrics import METRICS
from demograd.published import exhibits
from demograd.study.spec.learning_rates import default_rate
from demograd.words import Labels

pytest.importorskip("mkdocs", reason="the manual needs the extra `docs`")

HOOKS = ROOT / "docs" / "hooks"


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOOKS))


@pytest.mark.usefixtures("hooks")
def test_the_map_leads_from_every_metric_to_the_file_that_defines_it() -> None:
    rows = list(import_module("generated").table_of_metrics())[2:]
    assert len(rows) == len([metric for metric in METRICS.values() if not metric.is_of_another_package])
    for row in rows:
        function, path = re.search(r"\[`(\w+)`\]\(\.\./(\S+)\)", row).groups()
        assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE), row


@pytest.mark.usefixtures("hooks")
def test_the_reference_has_every_public_name() -> None:
    generated = import_module("generated")
    page = generated.with_texts((ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8"))
    documented = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: demograd.")}
    are_packages = {name for name in demograd.__all__ if isinstance(getattr(demograd, name), ModuleType)}
    assert documented == set(demograd.__all__) - are_packages
    for room in ("metrics", "statistics", "synthetic"):
        text = "\n".join(generated.reference(f"demograd.{room}"))
        members = set(re.findall(r"\w+", " ".join(re.findall(r"members: \[(.*?)\]", text))))
        assert members == set(import_module(f"demograd.{room}").__all__), room


@pytest.mark.usefixtures("hooks")
def test_the_manual_shows_the_rates_that_a_study_takes() -> None:
    header, _, *rows = [
        re.split(r"\s*\|\s*", row)[1:-1] for row in import_module("generated").table_of_learning_rates()
    ]
    shown = {
        (model, task, labels, method): float(rate.rstrip("*"))
        for model, labels, method, *rates in rows
        for task, rate in zip(header[3:], rates, strict=True)
        if rate
    }
    assert len(shown) > 20
    for (model, task, labels, method), rate in shown.items():
        assert rate == default_rate(model, task, method, Labels(labels)).rate


@pytest.mark.usefixtures("hooks")
def test_each_table_and_figure_of_the_papers_is_a_whole_row_of_the_manual() -> None:
    page = import_module("generated").with_texts((ROOT / "docs" / "presets.md").read_text(encoding="utf-8"))
    shown = [row for row in page.splitlines() if row.startswith("| **")]
    assert len(shown) == len(exhibits())
    for row in shown:
        assert len(re.split(r"(?<!\\)\|", row)) == 8, row
    [average] = [row for row in shown if row.startswith("| **Table 2**")]
    assert (
        "`demograd run deutch2024-table2`" in average
        and "“Over all tasks”" in average
        and "`--task cb=FILE`" in average
    )


@pytest.mark.usefixtures("hooks")
def test_a_row_leads_to_what_its_preset_does_otherwise_which_is_there_once() -> None:
    generated = import_module("generated")
    page = "\n".join(generated.table_of_exhibits())
    for preset in {row.preset for row in exhibits()}:
        notes = generated.notes_of_preset(preset)
        assert (f"](#notes-{preset})" in page) == bool(notes), preset
        assert page.count(f"{{#notes-{preset}}}") == bool(notes), preset
    for words in ("Inputs are N(0, I) here", "12 beginnings", "each of its steps has a matrix of its own"):
        assert words in page.replace("\\", "")


@pytest.mark.usefixtures("hooks")
def test_the_sizes_of_splits_are_counted_and_not_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine to which no data set was downloaded before."""
    for cache in ("datasets.config.HF_DATASETS_CACHE", "huggingface_hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(cache, str(tmp_path))
    splits_in_short = import_module("generated").splits_in_short
    splits_in_short.cache_clear()
    ours = splits_in_short()
    splits_in_short.cache_clear()  # what the site says is of this machine
    assert (
        "one table without splits: sst2 67,349, sst5 8,544, mr 8,530, subj 8,000, agnews 127,600; not here: cb" in ours
    )
    assert "smollm2-135m: sst2 51.9, sst5 105.3, mr 118.2, subj 132.3, agnews 251.8" in ours


@pytest.mark.usefixtures("hooks")
def test_a_command_that_asks_for_other_than_its_preset_has_none_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    generated = import_module("generated")
    monkeypatch.setattr(generated.findings, "in_short", lambda preset, measured: f"of {preset}")
    seeds = [row for row in exhibits() if row.paper in ("Deutch 2024", "Shen 2023")]
    findings = {row.exhibit: generated._finding_of(row) for row in seeds}
    assert findings["Figure 2"] == "of shen2023-sparsity" and findings["Figure 1"] == "of "
    assert findings["Figure 4"] == "of shen2023-order"
    others = {exhibit: text for exhibit, text in findings.items() if exhibit.startswith("Figures 6 to 24")}
    assert len(others) == 3 and set(others.values()) == {generated.findings.NOT_RUN}
    [subj] = [row for row in exhibits() if "--task subj" in row.command]
    assert generated._finding_of(subj) == "of deutch2024-figures", "whose tasks Subj is among"


@pytest.mark.usefixtures("hooks")
def test_every_picture_is_drawn_and_shown() -> None:
    pictures = import_module("pictures").PICTURES
    shown = {
        name
        for page in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"pictures/([\w-]+)\.svg", page.read_text())
    }
    assert shown == set(pictures)
    for draw in pictures.values():
        drawing = ElementTree.fromstring(draw().svg)
        assert drawing.get("viewBox") and len(list(drawing.iter())) > 50


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        fetched = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text("utf-8"))
        assert fetched == [], page
