"""The page as a browser shows it: nothing is fetched, nothing overflows, the finding can be read."""

import shutil
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from tests.report.conftest import Fake, write_run
from tests.report.matched import write_matched_run
from tests.report.rows import write_everything
from tests.report.synthetic.rows import everything, write_synthetic_run

from demograd.report import Section, page, read_run, write_report
from demograd.report.section import SECTIONS, Interactive, RegisteredSection

pytestmark = pytest.mark.browser
TOO_WIDE = """[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth)
  .map(each => each.textContent.slice(0, 80))"""
"""The tables that do not fit."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with everything that a page may show, and its page."""
    long = "a_task_with_a_name_that_is_much_longer_than_any_phone_is_wide_" * 2
    folder = write_run(tmp_path_factory.mktemp("page") / "run", Fake(tasks=("mr", long), diverged="LCGD", layers=6))
    write_report(write_everything(folder))
    return folder


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_can_be_read_without_a_network(written: Path, browser: Browser, width: int) -> None:
    address = (written / "report.html").as_uri()
    with browser.new_context(viewport={"width": width, "height": 800}, offline=True) as context:
        page = context.new_page()
        requests, trouble = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", lambda request: trouble.append(request.url))
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        assert requests == [address]
        assert trouble == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_text(read_run(written).finding.sentence).is_visible()
        assert page.locator(".chart svg").first.is_visible()
        assert page.locator(".chart svg").first.bounding_box()["width"] > 250
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1280:  # on a phone a wide table scrolls by itself
            assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_of_a_synthetic_run_can_be_read_too(tmp_path: Path, browser: Browser, width: int) -> None:
    long = {"linear, 1 layer": "a_network_with_a_name_that_is_much_longer_than_any_phone_is_wide_" * 2}
    rows = ({column: long.get(value, value) for column, value in row.items()} for row in everything())
    address = write_report(write_synthetic_run(tmp_path, rows=rows)).as_uri()
    with browser.new_context(viewport={"width": width, "height": 800}, offline=True) as context:
        page = context.new_page()
        requests, trouble = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: trouble.append(message.text))
        page.goto(address)
        assert (requests, trouble) == ([address], [])
        assert page.locator(".finding .sentence").first.is_visible()
        assert page.locator(".chart svg").first.bounding_box()["width"] > 250
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1280:
            assert page.evaluate(TOO_WIDE) == []


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that matches."""
    return write_report(write_matched_run(tmp_path_factory.mktemp("matched") / "run"))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "dark")])
def test_the_first_screen_is_whole_and_anyone_can_use_it(
    matched: Path, browser: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    viewport = {"width": width, "height": 900}
    with browser.new_context(viewport=viewport, offline=True, color_scheme=scheme) as context:
        tab = context.new_page()
        requests, trouble = [], []
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: trouble.append(message.text))
        tab.goto(matched.as_uri())
        assert (requests, trouble) == ([matched.as_uri()], [])
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        text = tab.evaluate("getComputedStyle(document.querySelector('.panel text')).fill")
        assert (sum(_rgb(ground)) > sum(_rgb(text))) == (scheme == "light")
        if width == 1280:
            for part in (".question", ".sentence", ".panel.maps", ".panel.similarities", ".panel.learning", ".words"):
                box = tab.locator(part).first.bounding_box()
                assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 900, part
        faults = Axe().run(tab).response["violations"]
        assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def _rgb(colour: str) -> list[int]:
    """`rgb(18, 23, 29)` → its parts."""
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_the_contents_bar_leads_anywhere_by_keyboard_and_stays(matched: Path, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 400, "height": 900}, offline=True) as context:
        tab = context.new_page()
        tab.goto(matched.as_uri())
        tab.keyboard.press("Tab")
        while tab.evaluate("document.activeElement.textContent") != "Checks":
            assert tab.evaluate("document.activeElement.closest('nav.contents')") is not None
            tab.keyboard.press("Tab")
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        tab.keyboard.press("Enter")
        bar, section = (tab.locator(place).bounding_box() for place in ("nav.contents", "#validity"))
        assert bar is not None and section is not None
        assert bar["y"] == pytest.approx(0, abs=1) and bar["height"] <= section["y"] <= 900


def test_a_page_runs_the_packages_own_script_and_no_other(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = shutil.copytree(page._TEMPLATES, tmp_path / "templates")
    (templates / "own.html.j2").write_text(
        "<p id=\"{{ prefix }}own\">{{ part.data }}</p><script>alert('other')</script>"
    )
    (templates / "own.js").write_text("document.getElementById('own').textContent += ' & run';")
    monkeypatch.setattr(page, "_TEMPLATES", templates)
    part = Interactive("own.html.j2", "own.js", "<i>data</i>")
    own = RegisteredSection("own-section", "Own", -5, lambda run: Section((part,)))
    monkeypatch.setitem(SECTIONS, ("tests", "own"), own)
    with browser.new_context(offline=True) as context:
        tab = context.new_page()
        blocked, dialogs = [], []
        tab.on("console", lambda message: blocked.append(message.text))
        tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
        tab.goto(write_report(write_run(tmp_path / "run", Fake(layers=1))).as_uri())
        assert tab.locator("#own").text_content() == "<i>data</i> & run"
        assert dialogs == [] and len(blocked) == 1 and "Content Security Policy" in blocked[0]
