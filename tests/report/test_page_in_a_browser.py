"""The page as a browser shows it: nothing is fetched, nothing overflows, the finding can be read."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.report.conftest import Fake, write_run
from tests.report.rows import write_everything
from tests.report.synthetic.rows import everything, write_synthetic_run

from demograd.report import read_run, write_report

pytestmark = pytest.mark.browser
TOO_WIDE = """[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth)
  .map(each => each.textContent.slice(0, 80))"""
"""The tables that do not fit."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with everything that a page may show, and its page."""
    long = "a_task_with_a_name_that_is_much_longer_than_any_phone_is_wide_" * 2
    folder = write_run(tmp_path_factory.mktemp("page") / "run", Fake(tasks=("mr", long), diverged="LCGD"))
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
        read = read_run(written)
        sentence = page.get_by_text(read.finding.sentence)
        assert sentence.is_visible()
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
