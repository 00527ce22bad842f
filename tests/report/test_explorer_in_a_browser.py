"""The query explorer, used by mouse and by keyboard: sorted, searched, opened; hostile texts stay text."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.report.queries import HEADS, HOSTILE, LAYERS

from demograd.display import visible
from demograd.report import read_run
from demograd.study.language_model.attention import decoded

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=[1280, 400])
def page(request: pytest.FixtureRequest, explored: Path, browser: Browser) -> Iterator[Page]:
    """The page, open; whatever it asks for or complains of is an error at the end."""
    address, trouble = (explored / "report.html").as_uri(), []
    with browser.new_context(viewport={"width": request.param, "height": 900}, offline=True) as context:
        page = context.new_page()
        page.on("request", lambda request: trouble.append(request.url))
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        yield page
        assert trouble == [address]
        assert page.title() == "smollm2-135m on mr · demograd"
        assert page.evaluate("document.documentElement.scrollWidth") <= request.param


def column(page: Page, place: int) -> list[str]:
    return page.locator(f".explorer .queries tbody td:nth-child({place})").all_inner_texts()


def test_hostile_texts_are_shown_as_text(page: Page) -> None:
    assert page.locator(".explorer .choose bdi").evaluate_all("all => all.map(each => each.textContent)") == [
        visible(text) for text in HOSTILE
    ]
    assert page.locator(".explorer img").count() == 0
    assert column(page, 2)[1] == "<b>good</b>"


def test_the_table_sorts_by_mouse_and_by_keyboard(page: Page) -> None:
    similarity = page.get_by_role("columnheader", name="similarity")
    similarity.get_by_role("button").click()
    assert similarity.get_attribute("aria-sort") == "ascending"
    assert column(page, 6) == ["−0.250", "0.000", "0.500", "below resolution"]
    page.keyboard.press("Enter")  # the button has the focus
    assert similarity.get_attribute("aria-sort") == "descending"
    assert column(page, 6) == ["0.500", "0.000", "−0.250", "below resolution"]
    gold = page.get_by_role("columnheader", name="gold", exact=True)
    gold.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert (gold.get_attribute("aria-sort"), similarity.get_attribute("aria-sort")) == ("ascending", "none")
    assert column(page, 2) in (["bad"] * 2 + ["<b>good</b>"] * 2, ["<b>good</b>"] * 2 + ["bad"] * 2)


def test_a_search_filters_and_says_how_many_are_left(page: Page) -> None:
    search = page.get_by_label("search texts and labels")
    search.fill("PLAIN text")
    assert page.locator(".explorer tbody .choose").all_inner_texts() == ["a plain text"]
    assert page.locator(".explorer .count").inner_text() == "1 of 4 queries"
    search.fill("")
    assert page.locator(".explorer .count").inner_text() == "4 of 4 queries"


def test_wrong_predictions_and_failures_are_said_in_words(page: Page) -> None:
    row = page.locator(".explorer tr[data-query='0']")
    assert row.locator("td:nth-child(4)").evaluate("cell => cell.textContent") == "✗ <b>good</b> (wrong)"
    page.get_by_role("combobox", name="demonstration set").select_option("1")
    page.get_by_role("combobox", name="fine-tuning").select_option("1")
    assert row.locator("td:nth-child(5)").inner_text() == "diverged at step 3"
    note = page.locator(".explorer .chosen .note").inner_text()
    assert "attention of queries 1 to 2 with the demonstration set of seed 5" in note
    page.get_by_role("combobox", name="demonstration set").select_option("0")


def test_a_label_without_a_finite_log_probability_has_a_dash(page: Page) -> None:
    page.locator(".explorer tr[data-query='3'] .choose").click()
    rows = page.locator(".explorer .labels tbody tr").all_inner_texts()
    assert [row.replace("▸ ", "").split("\t")[1:] for row in rows] == [["–", "−3.25"]] * 4


def test_the_tokens_of_a_chosen_query_have_the_attention_that_is_stored(page: Page, explored: Path) -> None:
    page.locator(".explorer tr[data-query='1'] .choose").focus()
    page.keyboard.press("Enter")
    panels = page.locator(".explorer figure")
    panels.first.wait_for()
    attention = read_run(explored).attention
    assert attention is not None
    stored = {
        "ICL": attention.query("setting == 'ICL' and query == 1"),
        "FT, GD 0.001": attention.query("method == 'GD' and query == 1"),
    }
    for layer, head in ((None, None), (1, None), (1, 2)):
        page.get_by_role("slider", name="layer").fill(str(-1 if layer is None else layer))
        page.get_by_role("slider", name="head").fill(str(-1 if head is None else head))
        for title, rows in stored.items():
            row = rows.iloc[0]
            shares = decoded(np.frombuffer(row["codes"], np.uint8).reshape(LAYERS, HEADS, -1)).astype(float)
            shares = shares[slice(None) if layer is None else [layer]][:, slice(None) if head is None else [head]]
            panel = page.get_by_role("figure").filter(has=page.locator("figcaption", has_text=title))
            tokens = panel.locator(".tokens bdi")
            assert tokens.all_text_contents() == [visible(token).replace("\n", "↵\n") for token in row["tokens"]]
            for place, share in enumerate(shares.mean(axis=(0, 1))):
                if place % 3 == 0:
                    tokens.nth(place).dispatch_event("pointerover")
                    number = panel.locator(".readout").inner_text().rpartition(": ")[2]
                    assert number.endswith(" %")
                    assert math.isclose(float(number[:-2].replace("−", "-")), 100 * share, rel_tol=0.051, abs_tol=1e-9)
    largest = tokens.nth(1).evaluate("each => getComputedStyle(each).backgroundColor")
    assert largest.startswith("rgba(")


CHANGED_WHILE_INFLATED = """async () => {
  const labels = [...document.querySelectorAll(".explorer label")];
  const box = labels.find((label) => label.textContent.startsWith("demonstration set")).querySelector("select");
  const choose = (value) => { box.value = value; box.dispatchEvent(new Event("change")); };
  const whole = Response.prototype.arrayBuffer;
  let left = 4;
  const inflated = new Promise((done) => {
    Response.prototype.arrayBuffer = async function () {
      const codes = await whole.call(this);
      if (--left === 0) setTimeout(done, 0);
      return codes;
    };
  });
  document.querySelector(".explorer tr[data-query='0'] .choose").click();
  choose("1");
  await inflated;
  Response.prototype.arrayBuffer = whole;
  const figures = document.querySelectorAll(".explorer figure").length;
  choose("0");
  return figures;
}"""
"""The demonstration set, changed before the four prompts of the first are there."""


def test_a_set_that_is_chosen_late_does_not_get_the_prompts_of_another(page: Page) -> None:
    assert page.evaluate(CHANGED_WHILE_INFLATED) == 0
    page.locator(".explorer figure").first.wait_for()
    assert page.locator(".explorer figure").count() == 4


def test_the_keyboard_goes_through_tokens(page: Page) -> None:
    box = page.locator(".explorer .icl .tokens")
    box.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator(".explorer .icl .readout").inner_text().startswith("token 2 of ")
    assert page.locator(".explorer .icl bdi.current").inner_text() == "shown"


def test_the_first_token_is_shaded_only_where_it_is_asked_for(page: Page) -> None:
    first = page.locator(".explorer .icl .tokens bdi").first
    assert first.evaluate("each => each.style.getPropertyValue('--part')") == "0.000"
    page.get_by_label("leave the first token").uncheck()
    assert float(first.evaluate("each => each.style.getPropertyValue('--part')")) > 0
    page.get_by_label("leave the first token").check()


def test_anyone_can_use_it_while_it_is_open(page: Page) -> None:
    page.locator(".explorer figure").first.wait_for()
    faults = Axe().run(page).response["violations"]
    serious = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in serious] == []


def test_the_table_is_there_without_scripts(explored: Path, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((explored / "report.html").as_uri())
        assert page.locator(".explorer tbody tr").count() == len(HOSTILE)
        assert page.locator(".explorer .choices").is_hidden()
